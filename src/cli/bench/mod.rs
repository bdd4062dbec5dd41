//! `strandwatch bench`: CPU time of a scored frame by stage, from the wire to the broker, and memory; or several networks
//! in one run.

use std::path::PathBuf;

use serde_json::json;

use super::model::{self, RuntimeArguments};
use super::output::say;
use super::{Exit, OrExit, Outcome};

mod cost;
mod daemon;
mod networks;
mod stages;

/// Arguments of `strandwatch bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Compare networks instead: an ONNX file (its input filled with noise) or a model's name; several times, measured
    /// in turn within one run
    #[arg(long, value_name = "FILE.onnx|NAME")]
    model: Vec<String>,
    /// How often each thing is measured
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// Serve the stream that is measured, until standard input closes
    #[arg(long, hide = true)]
    serve_stream: bool,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    runtime: RuntimeArguments,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    if arguments.serve_stream {
        daemon::serve().or_exit(Exit::Internal)?;
    } else if arguments.model.is_empty() {
        measure_stages(&arguments).or_exit(Exit::Usage)?;
    } else {
        compare_networks(&arguments).or_exit(Exit::Usage)?;
    }
    Ok(Exit::Well)
}

fn measure_stages(arguments: &Arguments) -> anyhow::Result<()> {
    let model = arguments.runtime.find(None)?;
    let mut found = daemon::measure(arguments.frames)?;
    let decision = found.split_off(2);
    found.extend(stages::measure(&model, &arguments.runtime, arguments.frames)?);
    found.extend(decision);
    let memory = cost::peak_memory_mib();
    let frames_per_second = 1000.0 / found.iter().map(|stage| stage.cost.wall_ms).sum::<f64>();
    let cpu: f64 = found.iter().map(|stage| stage.cost.cpu_ms).sum();
    let inference = found.iter().find(|stage| stage.name == "inference");
    let beside = inference.map(|stage| (cpu - stage.cost.cpu_ms) / stage.cost.cpu_ms);
    if arguments.json {
        say(json!({
            "model": model.name,
            "picture": stages::PICTURE,
            "frames": arguments.frames,
            "threads": arguments.runtime.threads(),
            "stages": found,
            "frames_per_second": frames_per_second,
            "beside_inference": beside,
            "peak_memory_mib": memory,
        }));
        return Ok(());
    }
    let (frames, threads) = (arguments.frames, arguments.runtime.threads());
    say(format_args!(
        "{}, {frames} frames of {}, {threads} threads, medians",
        model.name,
        stages::PICTURE
    ));
    say(format_args!(
        "fetch: a second of a {} frames/s MJPEG stream, of which one frame is decoded and scored",
        daemon::STREAM_FPS
    ));
    say("stage              wall ms   CPU ms");
    for stage in &found {
        say(format_args!("{:16} {:9.2} {:8.2}", stage.name, stage.cost.wall_ms, stage.cost.cpu_ms));
    }
    say(format_args!("{:16} {:9.2} {cpu:8.2}", "a frame", 1000.0 / frames_per_second));
    say(format_args!("{frames_per_second:.1} frames a second"));
    if let Some(beside) = beside {
        say(format_args!("everything beside inference costs {beside:.2} times inference"));
    }
    if let Some(memory) = memory {
        say(format_args!("peak memory {memory:.0} MiB"));
    }
    Ok(())
}

fn compare_networks(arguments: &Arguments) -> anyhow::Result<()> {
    let files = arguments
        .model
        .iter()
        .map(|asked| {
            let path = PathBuf::from(asked);
            if model::is_onnx(&path) {
                return Ok(path);
            }
            Ok(arguments.runtime.find(Some(asked))?.file)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let found = networks::measure(&files, &arguments.runtime, arguments.frames)?;
    if arguments.json {
        let (frames, threads) = (arguments.frames, arguments.runtime.threads());
        say(json!({ "frames": frames, "threads": threads, "networks": found }));
        return Ok(());
    }
    say("network                             input  wall ms   CPU ms  CPU against the first");
    for network in &found {
        let name = network.file.file_name().unwrap_or_default().to_string_lossy();
        let input = network.input.iter().map(i64::to_string).collect::<Vec<_>>().join("x");
        let cost = network.cost;
        say(format_args!(
            "{name:27} {input:>13} {:8.2} {:8.2}  {:.2}",
            cost.wall_ms, cost.cpu_ms, network.cpu_ratio
        ));
    }
    Ok(())
}
