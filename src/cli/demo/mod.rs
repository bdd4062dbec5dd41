//! `strandwatch demo`: the whole system on one machine, with nothing to set up, told as a story.

mod audience;
mod people;
mod story;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::audience::Audience;
use self::people::House;
use self::story::Story;
use super::output::say;
use super::{Exit, OrExit, Outcome};
use crate::sim::film::Film;
use crate::sim::stage::{Daemon, PrinterRig, write_own_config};
use crate::sim::webcam;

/// Arguments of `strandwatch demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The Python of a virtual environment with Moonraker [default: the one that klipper/setup.sh made]
    #[arg(long, value_name = "PATH")]
    moonraker: Option<PathBuf>,
    /// How much faster than life the print goes, 0.5 to 3
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Where everything is written, the annotated picture and the daemon's log included
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Stay up after the story, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.5..=3.0).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err("a number from 0.5 to 3 is needed".to_owned()),
    }
}

/// The printer on the stage.
const PRINTER: &str = "demo";

/// Faster than life, so that the story is short: the decision itself is the same.
const SECTIONS: &str = r#"[watch]
clear_interval = "1s"
suspect_interval = "300ms"
correlation_time = "2s"

[act]
veto = "3s"
"#;

/// Of the rendered camera.
const FRAMES_PER_SECOND: f64 = 8.0;

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().or_exit(Exit::Internal)?;
    let outcome = runtime.block_on(play(&arguments));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn play(arguments: &Arguments) -> Outcome {
    let python = match &arguments.moonraker {
        Some(python) => std::path::absolute(python).or_exit(Exit::Usage)?,
        None => find_moonraker().or_exit(Exit::Unreachable)?,
    };
    let folder = match &arguments.folder {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!("strandwatch-demo-{}", std::process::id())),
    };
    if folder.join("strandwatch.toml").exists() {
        let shown = folder.display();
        let earlier =
            anyhow::anyhow!("{shown} holds an earlier demo: remove it, or give --folder another");
        return Err(earlier).or_exit(Exit::Usage);
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))
        .or_exit(Exit::Usage)?;
    let cancel = CancellationToken::new();

    say(
        "Setting the stage: a real Moonraker over a simulated Klippy, a rendered camera, a daemon with a Mosquitto of its own.",
    );
    let film = Film::new(7);
    let listener = TcpListener::bind("127.0.0.1:0").await.or_exit(Exit::Internal)?;
    let url = format!("http://{}/stream", listener.local_addr().or_exit(Exit::Internal)?);
    tokio::spawn(webcam::serve(
        listener,
        webcam::Scene(film.state()),
        FRAMES_PER_SECOND,
        cancel.clone(),
    ));
    let printer = PrinterRig::start(&folder, PRINTER, &python, &url, arguments.speed)
        .await
        .or_exit(Exit::Unreachable)?;
    let (config, lan_port) =
        write_own_config(&folder, &[&printer], SECTIONS).or_exit(Exit::Internal)?;
    let program = std::env::current_exe().or_exit(Exit::Internal)?;
    let broker = folder.join("broker");
    let house = House { program: program.clone(), config: config.clone(), broker, lan_port };
    let mut secrets = Vec::new();
    for name in ["observer", "owner"] {
        say(format_args!("         $ strandwatch client add {name} --rights {name}"));
        let made = house.client(&["add", name, "--rights", name]).await.or_exit(Exit::Internal)?;
        secrets.push(made["secret"].as_str().unwrap_or_default().to_owned());
    }
    let log = folder.join("strandwatch.log");
    let daemon = Daemon::start(&program, &config, &log).or_exit(Exit::Internal)?;
    let (observer, seen) =
        house.connect("observer", &secrets[0]).await.or_exit(Exit::Unreachable)?;
    let (owner, _) = house.connect("owner", &secrets[1]).await.or_exit(Exit::Unreachable)?;
    say(format_args!(
        "Everything is in {}; the daemon's log is strandwatch.log there.",
        folder.display()
    ));

    let mut story = Story {
        printer: &printer,
        film: &film,
        audience: Audience::new(seen, folder.join("alert.jpg")),
        house: &house,
        observer,
        owner,
        secret: String::new(),
        speed: arguments.speed,
        checks: Vec::new(),
    };
    let told = {
        let following = film.follow(&printer.klippy);
        tokio::select! {
            told = story.tell() => told,
            () = following => Ok(()),
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    };
    if let Err(error) = &told {
        say(format_args!("The story broke off: {error:#}"));
    }
    let exit = summary(&story, told.is_ok());
    drop(story);
    if arguments.keep {
        say(format_args!(
            "Staying up: Moonraker at {}, the broker at localhost:{lan_port} with TLS; get a login by \
             `strandwatch client add NAME --rights owner --config {}`. Ctrl-C ends it.",
            printer.moonraker.options().url(),
            config.display(),
        ));
        let _ = tokio::signal::ctrl_c().await;
    }
    let ended = daemon.stop(Duration::from_secs(6)).await;
    if !ended.is_some_and(|status| status.success()) {
        say("The daemon did not end cleanly within six seconds.");
    }
    let _ = printer.moonraker.stop().await;
    printer.klippy.stop().await;
    cancel.cancel();
    Ok(if ended.is_some_and(|status| status.success()) { exit } else { Exit::ProblemsFound })
}

/// Looks beside the program and above it, where `klipper/setup.sh` puts it in a checkout.
fn find_moonraker() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    program
        .ancestors()
        .map(|above| above.join("rig/moonraker/bin/python"))
        .find(|python| python.exists())
        .context("no Moonraker beside this program: run klipper/demo.sh, or give --moonraker the Python of a virtual environment that has it")
}

fn summary(story: &Story<'_>, told: bool) -> Exit {
    say("");
    say("What was observed over MQTT, by clients with credentials of their own:");
    for (check, held) in &story.checks {
        say(format_args!("  {} {check}", if *held { "yes" } else { "NO " }));
    }
    let picture: &Path = story.audience.picture_path();
    if picture.exists() {
        say(format_args!("The annotated frame is {}", picture.display()));
    }
    let well = told && story.checks.iter().all(|(_, held)| *held);
    say(if well { "All of it happened." } else { "Not all of it happened." });
    if well { Exit::Well } else { Exit::ProblemsFound }
}
