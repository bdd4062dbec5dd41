//! A journal through the decision again: the same inputs at the same times give the same outputs, byte for byte.

use std::path::Path;

use super::journal::{JournalError, Reader};
use crate::core::Core;
use crate::core::contract::{Input, Output, Setup};
use crate::core::types::Now;

/// What a replay gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Every output, with the time of the input that brought it about.
    pub outputs: Vec<(Now, Output)>,
    /// How many inputs there were.
    pub inputs: u64,
    /// The last line's number, when it was torn and left out.
    pub torn: Option<usize>,
}

/// Decides `inputs` again with a core made from `setup`; `each` takes the outputs as they come.
pub fn replay(
    setup: Setup,
    inputs: impl IntoIterator<Item = (Now, Input)>,
    mut each: impl FnMut(Now, Output),
) {
    let mut core = Core::new(setup);
    for (now, input) in inputs {
        core.handle(now, input);
        while let Some(output) = core.poll_output() {
            each(now, output);
        }
    }
}

/// Replays a journal file.
pub fn replay_journal(path: &Path) -> Result<Replayed, JournalError> {
    let mut reader = Reader::open(path)?;
    let setup = reader.setup.clone();
    let mut replayed = Replayed { outputs: Vec::new(), inputs: 0, torn: None };
    let mut failure = None;
    let inputs = std::iter::from_fn(|| match reader.next()? {
        Ok(line) => {
            replayed.inputs += 1;
            Some(line)
        }
        Err(error) => {
            failure = Some(error);
            None
        }
    });
    replay(setup, inputs, |now, output| replayed.outputs.push((now, output)));
    replayed.torn = reader.torn();
    failure.map_or(Ok(replayed), Err)
}

/// Lines that are read ahead at once, and how many such batches.
const BATCH: usize = 256;
const BATCHES: usize = 8;

/// A journal that is read on a thread of its own: reading takes as long as deciding. A torn last line is left out.
pub struct ReadAhead {
    /// What the core was made from.
    pub setup: Setup,
    batches: std::iter::Flatten<std::sync::mpsc::IntoIter<Vec<Line>>>,
}

type Line = Result<(Now, Input), JournalError>;

impl ReadAhead {
    /// Opens it.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let mut reader = Reader::open(path)?;
        let setup = reader.setup.clone();
        let (batches, incoming) = std::sync::mpsc::sync_channel(BATCHES);
        std::thread::spawn(move || {
            loop {
                let batch: Vec<_> = reader.by_ref().take(BATCH).collect();
                // The other end hangs up at the first error.
                if batch.is_empty() || batches.send(batch).is_err() {
                    return;
                }
            }
        });
        Ok(Self { setup, batches: incoming.into_iter().flatten() })
    }
}

impl Iterator for ReadAhead {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        self.batches.next()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::app::journal::Journal;
    use crate::core::detect::light::{Brightness, LIGHT_BLOCKS};
    use crate::core::tests::scenario::{CONFIRM_S, Scenario, VETO_S, frame, name};
    use crate::core::tests::stories::{story, world};
    use crate::core::tests::teller::Teller;
    use crate::core::types::{KlippyState, PrintState, SourceFault, SourceHealth};

    /// A failure from the first strand to the end of the print.
    fn failure() -> Scenario {
        let mut scenario = Scenario::new();
        scenario.report(|_| {}).wait(5).start_print("benchy.gcode").camera(SourceHealth::Seeing);
        scenario.score(0.02).for_secs(10).score(0.87).for_secs(40 + VETO_S);
        scenario.answer_action(Ok(())).wait(2).print_state(PrintState::Paused).wait(30);
        scenario.ask("observer", "cancel", json!({}));
        scenario.ask("owner", "cancel", json!({}));
        scenario.answer_action(Ok(())).print_state(PrintState::Cancelled);
        scenario
    }

    /// What a household does with an incident that is none.
    fn dismissal() -> Scenario {
        let mut scenario = Scenario::printing_with(|setup| {
            setup.printers.get_mut(&name("voron")).unwrap().act.votes_needed = 2;
        });
        scenario.score(0.9).for_secs(40);
        scenario.ask("household", "dismiss", json!({}));
        scenario.ask("household", "dismiss", json!({}));
        scenario.ask("housemate", "dismiss", json!({}));
        scenario.score(0.9).for_secs(20);
        scenario.ask("household", "snooze", json!({ "minutes": 1 }));
        scenario.frames(frame(0.9, 3, 3)).for_secs(70);
        scenario.ask("owner", "disarm", json!({}));
        scenario.ask("stranger", "arm", json!({}));
        scenario.ask("household", "gcode", json!({}));
        scenario.print_state(PrintState::Complete);
        scenario
    }

    /// Everything that can stand between a camera and a verdict, and Klipper restarting at the end.
    fn faults() -> Scenario {
        let mut scenario = Scenario::printing();
        scenario.wait(30).score(0.1).for_secs(5);
        for fault in [SourceFault::Dark, SourceFault::Frozen, SourceFault::Blurred] {
            scenario.camera(SourceHealth::Impaired { fault, why: "judged by the frames".into() });
            scenario.score(0.1).for_secs(3);
        }
        let (fault, why) = (SourceFault::Vanished, "connection reset".to_owned());
        scenario.camera(SourceHealth::Blind { fault, why }).wait(10).camera(SourceHealth::Seeing);
        scenario.score(0.1).for_secs(3).link_down().wait(20).report(|_| {});
        scenario.report(|status| status.klippy = KlippyState::Startup).wait(5);
        scenario.report(|status| {
            status.klippy = KlippyState::Ready;
            status.print = PrintState::Standby;
        });
        scenario
    }

    /// A printer that refuses to pause, and then ignores it.
    fn stubborn() -> Scenario {
        let mut scenario = Scenario::acting();
        scenario.answer_action(Err("PAUSE: must home first")).wait(3);
        scenario.answer_action(Ok(())).wait(CONFIRM_S * 3);
        scenario.ask("owner", "pause", json!({}));
        scenario.answer_action(Ok(())).print_state(PrintState::Paused);
        scenario
    }

    fn journals() -> [(&'static str, Scenario); 4] {
        [
            ("failure", failure()),
            ("dismissal", dismissal()),
            ("faults", faults()),
            ("stubborn", stubborn()),
        ]
    }

    fn write(scenario: &Scenario, path: &Path) {
        let mut journal = Journal::create(path, &scenario.setup).unwrap();
        for (now, input) in &scenario.inputs {
            journal.append(*now, input);
        }
        journal.flush();
    }

    #[test]
    #[ignore = "writes tests/replay/*.jsonl anew: only when the journal's format changes"]
    fn record_the_journals_of_the_tests() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/replay");
        for (name, scenario) in journals() {
            write(&scenario, &folder.join(name).with_extension("jsonl"));
        }
    }

    #[test]
    fn a_live_run_is_replayed_to_the_same_outputs() {
        let dir = tempfile::tempdir().unwrap();
        for (name, scenario) in journals() {
            let path = dir.path().join(name);
            write(&scenario, &path);
            let replayed = replay_journal(&path).unwrap();
            assert_eq!(replayed.inputs, scenario.inputs.len() as u64);
            let bytes = |outputs: &[(Now, Output)]| serde_json::to_string(outputs).unwrap();
            assert_eq!(bytes(&replayed.outputs), bytes(&scenario.outputs), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn any_run_is_replayed_to_the_same_outputs(story in story()) {
            let setup = world(2, 1, 20);
            // As the application does: quantised before the core and the journal see it.
            let inputs: Vec<(Now, Input)> = Teller::new(setup.clone())
                .tell(&story)
                .into_iter()
                .map(|turn| {
                    let mut input = turn.input;
                    if let Input::Score { score, .. } = &mut input {
                        *score = score.clone().quantised();
                    }
                    (turn.now, input)
                })
                .collect();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("story.jsonl");
            let mut journal = Journal::create(&path, &setup).unwrap();
            let mut live = Vec::new();
            for (now, input) in &inputs {
                journal.append(*now, input);
            }
            journal.flush();
            replay(setup, inputs, |now, output| live.push((now, output)));
            let replayed = replay_journal(&path).unwrap();
            prop_assert_eq!(
                serde_json::to_string(&replayed.outputs).unwrap(),
                serde_json::to_string(&live).unwrap()
            );
        }
    }

    #[test]
    #[ignore = "tells how fast a replay is; nothing to fail"]
    fn how_fast() {
        let mut score = frame(0.1, 1, 1);
        (score.map.columns, score.map.rows) = (20, 20);
        score.brightness = Some(Brightness::of_levels([90.0; LIGHT_BLOCKS]));
        let mut scenario = Scenario::new();
        scenario.start_print("long.gcode");
        for second in 0..20_000u32 {
            // No frame is like the one before: the state is told anew with each.
            let cell = |cell: u32| (cell * 7 % 100 + second * 13 % 50) as f32 / 1_000.0;
            score.map.cells = (0..400).map(cell).collect();
            scenario.frames(score.clone()).for_secs(1);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.jsonl");
        write(&scenario, &path);
        let each = |began: std::time::Instant| began.elapsed() / scenario.inputs.len() as u32;
        let began = std::time::Instant::now();
        replay_journal(&path).unwrap();
        println!("{:?} an input of 400 cells from a file", each(began));
        let inputs = scenario.inputs.clone();
        let began = std::time::Instant::now();
        replay(scenario.setup.clone(), inputs, |_, _| {});
        println!("{:?} of it to decide", each(began));
    }
}
