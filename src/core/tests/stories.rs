//! Random stories of two printers: what may come in, in any order, at any time.

use proptest::prelude::*;

use super::scenario::{name, printer_setup, setup};
use crate::core::command::COMMANDS;
use crate::core::contract::Setup;
use crate::core::types::{KlippyState, PrintState, SourceFault, SourceHealth};

pub const PRINTERS: [&str; 2] = ["left", "right"];
pub const CAMERAS: [&str; 2] = ["cam", "side"];
pub const CLIENTS: [&str; 6] =
    ["owner", "household", "housemate", "observer", "neighbour", "stranger"];

/// One thing that happens. Indices choose a printer, a camera, a client.
#[derive(Debug, Clone)]
pub enum Step {
    /// The clocks move, or stand still, or go back.
    Clocks {
        mono_ms: i64,
        unix_ms: i64,
    },
    /// Time passes, with a tick at every deadline.
    Wait {
        ms: u64,
    },
    Down {
        printer: usize,
    },
    Up {
        printer: usize,
        klippy: KlippyState,
        print: PrintState,
        file: u8,
        total_s: f64,
    },
    /// So many frames of this score, one a second.
    Show {
        printer: usize,
        camera: usize,
        p: f32,
        frames: u32,
    },
    /// A frame that is taken at an odd time.
    Odd {
        printer: usize,
        camera: usize,
        p: f32,
        taken_ms: u64,
    },
    /// What is no score.
    Rubbish {
        printer: usize,
        camera: usize,
        kind: u8,
    },
    Source {
        printer: usize,
        camera: usize,
        health: SourceHealth,
    },
    Model {
        loaded: bool,
    },
    SelfTest {
        passed: bool,
    },
    Plane {
        open: bool,
    },
    /// `id` may have been used before.
    Ask {
        client: usize,
        printer: usize,
        command: usize,
        id: u16,
        age_s: i64,
        job: u8,
        retained: bool,
    },
    /// Bytes that are no request.
    Babble {
        client: usize,
        printer: usize,
        command: usize,
        payload: Vec<u8>,
    },
    /// Moonraker's answer to one of the latest actions.
    Answer {
        printer: usize,
        back: usize,
        ok: bool,
    },
    /// The picture asked for, or not.
    Picture {
        printer: usize,
        back: usize,
        ok: bool,
    },
}

fn health() -> impl Strategy<Value = SourceHealth> {
    let fault = prop::sample::select(vec![
        SourceFault::Stalled,
        SourceFault::Frozen,
        SourceFault::Still,
        SourceFault::Dark,
        SourceFault::Blurred,
    ]);
    prop_oneof![
        4 => Just(SourceHealth::Seeing),
        1 => Just(SourceHealth::Opening),
        1 => fault.clone().prop_map(|fault| SourceHealth::Impaired { fault, why: "w".into() }),
        1 => fault.prop_map(|fault| SourceHealth::Blind { fault, why: "w".into() }),
    ]
}

fn up() -> impl Strategy<Value = Step> {
    let klippy = prop_oneof![
        12 => Just(KlippyState::Ready),
        1 => Just(KlippyState::Startup),
        1 => Just(KlippyState::Shutdown),
    ];
    let print = prop_oneof![
        12 => Just(PrintState::Printing),
        3 => Just(PrintState::Paused),
        1 => Just(PrintState::Standby),
        1 => Just(PrintState::Complete),
        1 => Just(PrintState::Cancelled),
        1 => Just(PrintState::Error),
    ];
    (0..2usize, klippy, print, prop_oneof![9 => Just(0u8), 1 => Just(1u8)], 0f64..3.0).prop_map(
        |(printer, klippy, print, file, total_s)| Step::Up {
            printer,
            klippy,
            print,
            file,
            total_s,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let p = prop_oneof![3 => Just(0.95f32), 2 => 0f32..1.0];
    let show = (0..2usize, 0..2usize, p.clone(), 1..60u32)
        .prop_map(|(printer, camera, p, frames)| Step::Show { printer, camera, p, frames });
    let odd = (0..2usize, 0..2usize, p, prop_oneof![any::<u64>(), 0..300_000u64])
        .prop_map(|(printer, camera, p, taken_ms)| Step::Odd { printer, camera, p, taken_ms });
    let clocks = (-5_000..5_000i64, prop_oneof![3 => -2_000..2_000i64, 1 => any::<i64>()])
        .prop_map(|(mono_ms, unix_ms)| Step::Clocks { mono_ms, unix_ms });
    let client = prop_oneof![3 => Just(0usize), 2 => 0..CLIENTS.len()];
    let ask = (
        client.clone(),
        0..2usize,
        0..COMMANDS.len(),
        0..400u16,
        prop_oneof![9 => Just(0i64), 1 => -40..40i64],
        0..8u8,
        prop::bool::weighted(0.03),
    )
        .prop_map(|(client, printer, command, id, age_s, job, retained)| Step::Ask {
            client,
            printer,
            command,
            id,
            age_s,
            job,
            retained,
        });
    let babble = (client, 0..2usize, 0..COMMANDS.len(), prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(client, printer, command, payload)| Step::Babble {
            client,
            printer,
            command,
            payload,
        });
    prop_oneof![
        2 => clocks,
        4 => (0..90_000u64).prop_map(|ms| Step::Wait { ms }),
        1 => (0..2usize).prop_map(|printer| Step::Down { printer }),
        8 => up(),
        10 => show,
        1 => odd,
        1 => (0..2usize, 0..2usize, 0..5u8)
            .prop_map(|(printer, camera, kind)| Step::Rubbish { printer, camera, kind }),
        1 => (0..2usize, 0..2usize, health())
            .prop_map(|(printer, camera, health)| Step::Source { printer, camera, health }),
        1 => prop::bool::weighted(0.8).prop_map(|loaded| Step::Model { loaded }),
        1 => prop::bool::weighted(0.8).prop_map(|passed| Step::SelfTest { passed }),
        1 => prop::bool::weighted(0.8).prop_map(|open| Step::Plane { open }),
        12 => ask,
        1 => babble,
        4 => (0..2usize, 0..3usize, any::<bool>())
            .prop_map(|(printer, back, ok)| Step::Answer { printer, back, ok }),
        4 => (0..2usize, 0..2usize, any::<bool>())
            .prop_map(|(printer, back, ok)| Step::Picture { printer, back, ok }),
    ]
}

/// A story begins with two running prints, so that most of it is about something.
pub fn story() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60).prop_map(|steps| {
        let running = |printer| Step::Up {
            printer,
            klippy: KlippyState::Ready,
            print: PrintState::Printing,
            file: 0,
            total_s: 0.0,
        };
        let mut story = vec![Step::Plane { open: true }, Step::Model { loaded: true }];
        story.extend([running(0), running(1)]);
        story.extend(steps);
        story
    })
}

/// Two printers of two cameras; odd ones out have one.
pub fn world(cameras: usize, votes: u32, veto_s: u64) -> Setup {
    let mut setup = setup();
    setup.printers.clear();
    for printer in PRINTERS {
        let mut printer_setup = printer_setup(&CAMERAS[..cameras]);
        printer_setup.act.votes_needed = votes;
        printer_setup.act.veto_ms = veto_s * 1_000;
        setup.printers.insert(name(printer), printer_setup);
    }
    let neighbour = setup.grants.0.get_mut(&name("neighbour")).unwrap();
    neighbour.printers = Some([name("right")].into());
    setup
}
