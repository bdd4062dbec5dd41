//! Whose failure it is, where the camera knows the bed and the slicer named the objects.

use super::Printer;
use crate::core::detect::statistic::{point_of, positions};
use crate::core::geometry::{self, Homography};
use crate::core::incident::Stage;
use crate::core::types::{FailureMap, Name, Objects};

/// The part of the evidence that must lie in one object's footprint.
const MOST_OF_IT: f32 = 0.8;
/// Cells under this probability are no evidence.
const LEAST: f32 = 0.25;
/// A footprint is taken this much larger about its middle: strands hang over, and a part stands up from the bed.
const LARGER: f64 = 1.25;

impl Printer {
    /// Names the object in the open incident, when exactly one holds the evidence and others would be left.
    pub(super) fn accuse_object(&mut self) {
        let object = self.accused_object();
        if let Some(incident) = self.incident.as_mut().filter(|open| open.stage != Stage::Acted) {
            incident.object = object;
        }
    }

    fn accused_object(&self) -> Option<String> {
        let incident = self.incident.as_ref()?;
        let objects = self.status()?.objects.as_ref()?;
        let (seen, bed) = self.evidence_on_bed(&incident.camera)?;
        let left = objects.known.iter().filter(|one| !objects.excluded.contains(&one.name));
        let shares: Vec<(&String, f32)> = left
            .filter_map(|one| {
                let cells = footprint(objects, &one.name, &bed, &seen);
                Some((&one.name, share(&seen, &cells?)))
            })
            .collect();
        let holding: Vec<&(&String, f32)> =
            shares.iter().filter(|(_, share)| *share >= MOST_OF_IT).collect();
        match holding[..] {
            [(name, _)] if shares.len() > 1 => Some((*name).clone()),
            _ => None,
        }
    }

    /// The worst frame of the suspicion as it counted, and where the bed lies in it.
    fn evidence_on_bed(&self, camera: &Name) -> Option<(FailureMap, Homography)> {
        let bed = self.setup.views.get(camera)?.bed?.homography()?;
        let worst = self.incident.as_ref().and_then(|incident| incident.worst.get(camera));
        let camera = self.cameras.get(camera)?;
        let score = worst.map(|(_, score)| score).or(camera.last.as_ref())?;
        Some((camera.detector.informed(&score.map), bed))
    }

    /// The printer has excluded an object for the open incident: what lies there counts for nothing from now on.
    pub(super) fn give_up_object(&mut self, object: &str) {
        let cameras: Vec<Name> = self.cameras.keys().cloned().collect();
        for name in cameras {
            let found = self.evidence_on_bed(&name).and_then(|(seen, bed)| {
                footprint(self.status()?.objects.as_ref()?, object, &bed, &seen)
            });
            let worst = self.incident.as_ref().and_then(|incident| incident.worst.get(&name));
            if let Some(camera) = self.cameras.get_mut(&name) {
                let accused: Vec<_> = worst.iter().map(|(_, score)| score).collect();
                camera.detector.dismiss(&accused, camera.last.as_ref());
                camera.detector.give_up(found.unwrap_or_default());
            }
        }
    }
}

/// The cells that show an object's footprint.
fn footprint(
    objects: &Objects,
    name: &str,
    bed: &Homography,
    map: &FailureMap,
) -> Option<Vec<(u16, u16)>> {
    let object = objects.known.iter().find(|one| one.name == name)?;
    let corners = object.polygon.len() as f64;
    let sum = object.polygon.iter().fold([0.0, 0.0], |[x, y], at| [x + at[0], y + at[1]]);
    let middle = object.center.unwrap_or([sum[0] / corners, sum[1] / corners]);
    let larger =
        |at: &[f64; 2]| [0, 1].map(|axis| middle[axis] + (at[axis] - middle[axis]) * LARGER);
    let outline: Option<Vec<[f64; 2]>> =
        object.polygon.iter().map(|at| bed.apply(larger(at))).collect();
    let outline = outline.filter(|outline| outline.len() >= 3)?;
    let inside = |&(row, column): &(u16, u16)| {
        geometry::holds(&outline, point_of(map, row, column).map(f64::from))
    };
    Some(positions(map).filter(inside).collect())
}

/// Which part of what `map` shows lies in these cells.
fn share(map: &FailureMap, cells: &[(u16, u16)]) -> f32 {
    let at = |row: u16, column: u16| {
        let index = usize::from(row) * usize::from(map.columns) + usize::from(column);
        map.cells.get(index).copied().filter(|p| *p >= LEAST).unwrap_or(0.0)
    };
    let whole: f32 = positions(map).map(|(row, column)| at(row, column)).sum();
    let inside: f32 = cells.iter().map(|&(row, column)| at(row, column)).sum();
    if whole > 0.0 { inside / whole } else { 0.0 }
}
