//! `strandwatch calibrate`: where the bed lies in a camera's picture.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use serde_json::json;

use super::output::say;
use super::view::{self, ViewArguments};
use super::{Exit, OrExit, Outcome};
use crate::core::geometry::BedView;
use crate::vision::overlay::{Overlay, overlay};

/// Arguments of `strandwatch calibrate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The bed's corners in the picture, as fractions of it: front left, front right, back right, back left. Without it
    /// the corners of the configuration; without those, only a picture with a grid is made, to read them off
    #[arg(long, value_name = "X,Y", num_args = 4, value_parser = point, allow_negative_numbers = true)]
    corners: Option<Vec<[f64; 2]>>,
    /// The bed's smallest x and y and largest x and y, mm: position_min and position_max of [stepper_x] and [stepper_y]
    /// in printer.cfg, or what the bed really measures
    #[arg(long, value_name = "X0,Y0,X1,Y1", value_parser = extent, allow_hyphen_values = true)]
    bed_mm: Option<[f64; 4]>,
    /// The JPEG that shows it
    #[arg(long, value_name = "FILE", default_value = "calibration.jpg")]
    preview: PathBuf,
    /// Draw on this picture instead of taking one
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    view: ViewArguments,
}

fn point(text: &str) -> anyhow::Result<[f64; 2]> {
    let point: [f64; 2] = numbers(text)?;
    if point.iter().all(|part| (0.0..=1.0).contains(part)) {
        Ok(point)
    } else {
        bail!("must lie in the picture: two fractions from 0 to 1, such as 0.25,0.8")
    }
}

fn extent(text: &str) -> anyhow::Result<[f64; 4]> {
    let [x0, y0, x1, y1] = numbers(text)?;
    if x0 < x1 && y0 < y1 { Ok([x0, y0, x1, y1]) } else { bail!("must be such as 0,0,235,235") }
}

fn numbers<const N: usize>(text: &str) -> anyhow::Result<[f64; N]> {
    let found: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let found: Option<[f64; N]> = found.ok().and_then(|found| found.try_into().ok());
    found.ok_or_else(|| anyhow!("must be {N} numbers with commas between them"))
}

impl Arguments {
    /// What the arguments say, else the configuration; `None` when neither names corners.
    fn bed(&self, configured: Option<BedView>) -> anyhow::Result<Option<BedView>> {
        let extent_mm = self.bed_mm.or(configured.map(|bed| bed.extent_mm));
        let corners = match &self.corners {
            Some(corners) => <[[f64; 2]; 4]>::try_from(corners.as_slice()).ok(),
            None => configured.map(|bed| bed.corners),
        };
        let Some(corners) = corners else { return Ok(None) };
        let Some(extent_mm) = extent_mm else {
            bail!("how large is the bed? Add --bed-mm, such as --bed-mm 0,0,235,235");
        };
        let bed = BedView { corners, extent_mm };
        if bed.homography().is_none() {
            bail!(
                "these corners enclose no bed: mark front left, front right, back right, back left, in this order"
            );
        }
        Ok(Some(bed))
    }
}

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    let config = arguments.view.load()?;
    let (printer, camera) = arguments.view.find(&config)?;
    let bed = arguments.bed(camera.bed).or_exit(Exit::Usage)?;
    let frame = view::still(arguments.picture.as_deref(), (printer, camera))?;
    let what = Overlay { bed: bed.as_ref(), tenths: bed.is_none(), ..Overlay::default() };
    view::write(&arguments.preview, &overlay(&frame, &what).or_exit(Exit::Usage)?)?;
    let file = arguments.preview.display();
    if arguments.json {
        say(json!({
            "printer": printer.name, "camera": camera.name, "preview": arguments.preview,
            "bed_corners": bed.map(|bed| bed.corners), "bed_mm": bed.map(|bed| bed.extent_mm),
        }));
        return Ok(Exit::Well);
    }
    let Some(bed) = bed else {
        say(format_args!(
            "{file} shows the picture of camera {} with a grid of tenths.",
            camera.name
        ));
        say("Read the bed's corners off it, then run");
        say("  strandwatch calibrate --corners X,Y X,Y X,Y X,Y --bed-mm 0,0,235,235");
        say(
            "with front left, front right, back right, back left, each as fractions of the picture.",
        );
        return Ok(Exit::Well);
    };
    say(format_args!(
        "{file} shows the bed with a line each 50 mm. Where it fits, write under this camera's"
    ));
    say(format_args!(
        "[[printer.camera]] in {}:",
        config.file.as_deref().map_or("strandwatch.toml".into(), |f| f.display().to_string())
    ));
    say(format_args!("  bed_corners = {:?}", bed.corners));
    say(format_args!("  bed_mm = {:?}", bed.extent_mm));
    Ok(Exit::Well)
}
