//! `strandwatch mask`: which part of a camera's picture counts.

use std::path::PathBuf;

use serde_json::json;

use super::output::say;
use super::view::{self, ViewArguments};
use super::{Exit, OrExit, Outcome};
use crate::vision::overlay::{Overlay, overlay};

/// Arguments of `strandwatch mask`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Draw the masks of the configuration over a picture of the camera, into this JPEG
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "mask-preview.jpg")]
    preview: Option<PathBuf>,
    /// Draw on this picture instead of taking one
    #[arg(long, value_name = "FILE", requires = "preview")]
    picture: Option<PathBuf>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    view: ViewArguments,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    let config = arguments.view.load()?;
    let (printer, camera) = arguments.view.find(&config)?;
    if let Some(file) = &arguments.preview {
        let frame = view::still(arguments.picture.as_deref(), (printer, camera))?;
        let what = Overlay { masks: &camera.masks, tenths: true, ..Overlay::default() };
        view::write(file, &overlay(&frame, &what).or_exit(Exit::Usage)?)?;
    }
    if arguments.json {
        say(json!({
            "printer": printer.name, "camera": camera.name, "masks": camera.masks,
            "preview": arguments.preview,
        }));
        return Ok(Exit::Well);
    }
    let (printer, name) = (&printer.name, &camera.name);
    say(match camera.masks.len() {
        0 => format!("printer {printer}, camera {name}: no masks: the whole picture counts"),
        1 => format!(
            "printer {printer}, camera {name}: what lies outside one outline counts for nothing"
        ),
        n => format!(
            "printer {printer}, camera {name}: what lies outside {n} outlines counts for nothing"
        ),
    });
    if let Some(file) = &arguments.preview {
        say(format_args!(
            "drawn in {}: dark counts for nothing; the grid shows tenths",
            file.display()
        ));
    } else {
        say("see it with --preview; write outlines as masks under [[printer.camera]], such as");
        say("  masks = [[[0.1, 0.2], [0.9, 0.2], [0.9, 1.0], [0.1, 1.0]]]");
    }
    Ok(Exit::Well)
}
