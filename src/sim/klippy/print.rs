use std::time::Duration;

use crate::core::types::PrintObject;

/// Where a head goes that has nothing else to do: x, y, z in mm.
pub(super) const PARKED: [f64; 3] = [5.0, 215.0, 20.0];

/// Half the side of an object without an outline, mm.
const HALF_SIDE: f64 = 15.0;

/// Share of an object's time that goes into its outline; the rest is infill.
const OUTLINE: f64 = 0.4;

/// Infill lines an object and layer.
const INFILL_LINES: f64 = 12.0;

/// A print to be simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    /// The file's name.
    pub file: String,
    /// Of the extruding, simulated.
    pub duration: Duration,
    /// How many layers, at least 1.
    pub layers: u32,
    /// Height of a layer, mm.
    pub layer_height_mm: f64,
    /// What is printed, each object in every layer; labelled for exclusion. None is one square in the bed's middle.
    pub objects: Vec<PrintObject>,
    /// Target of the extruder, °C.
    pub extruder_c: f64,
    /// Target of the bed, °C.
    pub bed_c: f64,
    /// Whether the slicer's G-code tells the layers; many do not.
    pub reports_layers: bool,
}

impl Print {
    /// A cube of two minutes in the middle of the bed.
    pub fn new(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            duration: Duration::from_secs(120),
            layers: 60,
            layer_height_mm: 0.2,
            objects: vec![square("CUBE", [110.0, 110.0], 40.0)],
            extruder_c: 210.0,
            bed_c: 60.0,
            reports_layers: true,
        }
    }

    /// The layer at `progress`, from 0, and how much of it is done.
    pub(super) fn layer_at(&self, progress: f64) -> (u32, f64) {
        let layers = self.layers.max(1);
        let at = progress.clamp(0.0, 1.0) * f64::from(layers);
        let layer = (at as u32).min(layers - 1);
        (layer, (at - f64::from(layer)).min(1.0))
    }

    /// The object being printed at `progress` and where the nozzle is. Excluded objects take no time.
    pub(super) fn head_at(&self, progress: f64, excluded: &[String]) -> (Option<&str>, [f64; 3]) {
        let (layer, done) = self.layer_at(progress);
        let z = self.layer_height_mm * f64::from(layer + 1);
        let active: Vec<&PrintObject> =
            self.objects.iter().filter(|object| !excluded.contains(&object.name)).collect();
        if active.is_empty() {
            let whole_bed = square("", [110.0, 110.0], 40.0);
            let [x, y] = if self.objects.is_empty() {
                point_of(&whole_bed, done)
            } else {
                [PARKED[0], PARKED[1]]
            };
            return (None, [x, y, z]);
        }
        let turn = done * active.len() as f64;
        let index = (turn as usize).min(active.len() - 1);
        let object = active[index];
        let [x, y] = point_of(object, (turn - index as f64).min(1.0));
        (Some(&object.name), [x, y, z])
    }
}

/// A square object, its side and centre in mm.
pub(super) fn square(name: &str, center: [f64; 2], side: f64) -> PrintObject {
    let ([x, y], half) = (center, side / 2.0);
    PrintObject {
        name: name.to_owned(),
        center: Some(center),
        polygon: vec![
            [x - half, y - half],
            [x + half, y - half],
            [x + half, y + half],
            [x - half, y + half],
        ],
    }
}

/// Where the nozzle is when `done` (0..1) of an object's layer is: around the outline, then to and fro inside.
fn point_of(object: &PrintObject, done: f64) -> [f64; 2] {
    let fallback = square("", object.center.unwrap_or([110.0, 110.0]), 2.0 * HALF_SIDE).polygon;
    let outline = if object.polygon.len() >= 3 { &object.polygon } else { &fallback };
    if done < OUTLINE {
        let at = done / OUTLINE * outline.len() as f64;
        let corner = (at as usize).min(outline.len() - 1);
        let (from, to) = (outline[corner], outline[(corner + 1) % outline.len()]);
        return between(from, to, at - corner as f64);
    }
    let low = |axis: usize| outline.iter().map(|point| point[axis]).fold(f64::INFINITY, f64::min);
    let high =
        |axis: usize| outline.iter().map(|point| point[axis]).fold(f64::NEG_INFINITY, f64::max);
    let inside = (done - OUTLINE) / (1.0 - OUTLINE);
    let stroke = inside * INFILL_LINES % 2.0;
    let across = if stroke < 1.0 { stroke } else { 2.0 - stroke };
    [low(0) + (high(0) - low(0)) * across, low(1) + (high(1) - low(1)) * inside]
}

fn between(from: [f64; 2], to: [f64; 2], share: f64) -> [f64; 2] {
    [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share]
}
