use std::collections::BTreeMap;
use std::time::Duration;

use super::console::Console;
use super::gcode::Macro;
use super::print::{PARKED, Print};
use super::{Comeback, Options, Pausing, Refused, Snapshot};
use crate::core::types::{Heater, KlippyState, PrintState};

/// Simulated time moves in steps of at most so many seconds.
const STEP_S: f64 = 0.5;

/// Temperature of the room, °C.
const ROOM_C: f64 = 22.0;

/// How long homing takes, simulated seconds.
const HOMING_S: f64 = 3.0;

/// Filament a simulated second of extruding, mm.
const FILAMENT_MM_A_SECOND: f64 = 4.0;

/// A job: one run of a print.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) print: Print,
    pub(super) state: PrintState,
    pub(super) message: String,
    pub(super) total_s: f64,
    pub(super) print_s: f64,
    pub(super) filament_mm: f64,
    pub(super) excluded: Vec<String>,
}

impl Job {
    pub(super) fn progress(&self) -> f64 {
        (self.print_s / self.print.duration.as_secs_f64().max(1e-3)).min(1.0)
    }
}

/// The printer.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) options: Options,
    pub(super) klippy: KlippyState,
    pub(super) klippy_message: String,
    pub(super) job: Option<Job>,
    pub(super) extruder: Heater,
    pub(super) bed: Heater,
    pub(super) homed: bool,
    pub(super) timelapse_parked: bool,
    /// Real seconds since the simulation began: Klipper's `eventtime`.
    pub(super) event_time: f64,
    /// What `SDCARD_PRINT_FILE` prints, by file.
    pub(super) prepared: BTreeMap<String, Print>,
    pub(super) pausing: Pausing,
    /// Lines of G-code, oldest first.
    pub(super) log: Vec<String>,
    pub(super) console: Console,
    coming_back: Option<(Duration, Comeback)>,
}

impl Machine {
    pub(super) fn new(options: Options) -> Self {
        let cold = Heater { temperature: ROOM_C, target: 0.0 };
        Self {
            options,
            klippy: KlippyState::Ready,
            klippy_message: "Printer is ready".to_owned(),
            job: None,
            extruder: cold,
            bed: cold,
            homed: false,
            timelapse_parked: false,
            event_time: 0.0,
            prepared: BTreeMap::new(),
            pausing: Pausing::Works,
            coming_back: None,
            log: Vec::new(),
            console: Console::default(),
        }
    }

    /// Lets real time pass.
    pub(super) fn advance(&mut self, passed: Duration) {
        self.event_time += passed.as_secs_f64();
        self.come_back(passed);
        self.miss_answers();
        let mut left = passed.as_secs_f64() * self.options.speed;
        while left > 0.0 {
            let step = left.min(STEP_S);
            self.step(step);
            left -= step;
        }
    }

    fn come_back(&mut self, passed: Duration) {
        let Some((left, comeback)) = self.coming_back.take() else { return };
        if passed < left {
            self.coming_back = Some((left - passed, comeback));
            return;
        }
        (self.klippy, self.klippy_message) = match comeback {
            Comeback::Ready => (KlippyState::Ready, "Printer is ready".to_owned()),
            Comeback::Error(message) => (KlippyState::Error, message),
        };
    }

    fn step(&mut self, seconds: f64) {
        let heating = self.options.heating.as_secs_f64().max(1e-3);
        warm(&mut self.extruder, 200.0 / heating * seconds);
        warm(&mut self.bed, 60.0 / heating * seconds);
        if self.klippy != KlippyState::Ready {
            return;
        }
        let hot = is_hot(&self.extruder) && is_hot(&self.bed);
        let Some(job) = &mut self.job else { return };
        if job.state.is_active() {
            job.total_s += seconds;
        }
        if job.state != PrintState::Printing {
            return;
        }
        self.homed |= job.total_s >= HOMING_S;
        if !(hot && self.homed) || self.timelapse_parked {
            return;
        }
        job.print_s += seconds;
        job.filament_mm += seconds * FILAMENT_MM_A_SECOND;
        if job.progress() >= 1.0 {
            job.state = PrintState::Complete;
            self.cool();
        }
    }

    pub(super) fn start(&mut self, print: Print) -> Result<(), Refused> {
        if self.klippy != KlippyState::Ready {
            return Err(Refused(self.klippy_message.clone()));
        }
        if self.job.as_ref().is_some_and(|job| job.state.is_active()) {
            return Err(Refused("SD busy".to_owned()));
        }
        self.extruder.target = print.extruder_c;
        self.bed.target = print.bed_c;
        self.homed = false;
        self.job = Some(Job {
            print,
            state: PrintState::Printing,
            message: String::new(),
            total_s: 0.0,
            print_s: 0.0,
            filament_mm: 0.0,
            excluded: Vec::new(),
        });
        Ok(())
    }

    pub(super) fn shutdown(&mut self, message: &str) {
        self.klippy = KlippyState::Shutdown;
        self.klippy_message = message.to_owned();
        if let Some(job) = self.job.as_mut().filter(|job| job.state.is_active()) {
            job.state = PrintState::Error;
            job.message = message.to_owned();
        }
        self.cool();
    }

    pub(super) fn restart(&mut self, away: Duration, comeback: Comeback) {
        self.klippy = KlippyState::Startup;
        self.klippy_message = "Printer is not ready".to_owned();
        self.coming_back = Some((away + self.options.startup, comeback));
        self.job = None;
        self.homed = false;
        self.timelapse_parked = false;
        (self.console.here, self.console.heard_by) = (false, None);
        self.cool();
    }

    /// A macro has run to its end.
    pub(super) fn finish(&mut self, ran: Macro) {
        let ignored = ran == Macro::Pause && self.pausing == Pausing::Ignored;
        let Some(job) = self.job.as_mut().filter(|job| job.state.is_active() && !ignored) else {
            return;
        };
        job.state = match ran {
            Macro::Pause => PrintState::Paused,
            Macro::Resume => PrintState::Printing,
            Macro::Cancel => PrintState::Cancelled,
        };
        if ran == Macro::Cancel {
            self.cool();
        }
    }

    pub(super) fn position(&self) -> [f64; 3] {
        match &self.job {
            Some(job)
                if job.state == PrintState::Printing
                    && job.print_s > 0.0
                    && !self.timelapse_parked =>
            {
                job.print.head_at(job.progress(), &job.excluded).1
            }
            Some(_) | None => PARKED,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let (klippy, position) = (self.klippy, self.position());
        let Some(job) = &self.job else {
            return Snapshot { klippy, position, ..Snapshot::default() };
        };
        Snapshot {
            klippy,
            print: job.state,
            file: Some(job.print.file.clone()),
            progress: job.progress(),
            layer: if job.print_s > 0.0 { job.print.layer_at(job.progress()).0 + 1 } else { 0 },
            layers: job.print.layers,
            layer_height_mm: job.print.layer_height_mm,
            position,
            objects: job.print.objects.clone(),
            excluded: job.excluded.clone(),
        }
    }

    pub(super) fn cool(&mut self) {
        self.extruder.target = 0.0;
        self.bed.target = 0.0;
    }
}

/// Moves a heater towards its target, or the room, by at most `step` °C.
fn warm(heater: &mut Heater, step: f64) {
    let goal = heater.target.max(ROOM_C);
    heater.temperature += (goal - heater.temperature).clamp(-step, step);
}

fn is_hot(heater: &Heater) -> bool {
    (heater.temperature - heater.target.max(ROOM_C)).abs() < 1.0
}

#[cfg(test)]
mod tests {
    use super::super::gcode::Outcome;
    use super::super::print::square;
    use super::*;

    fn machine() -> Machine {
        Machine::new(Options { speed: 10.0, ..Options::new("/nonexistent") })
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_print_homes_and_heats_extrudes_and_completes() {
        let mut machine = machine();
        machine.start(Print::new("cube.gcode")).unwrap();
        machine.advance(seconds(1));
        let heating = machine.snapshot();
        assert_eq!(
            (heating.print, heating.layer, heating.progress),
            (PrintState::Printing, 0, 0.0)
        );
        assert_eq!(heating.position, PARKED);
        assert!(machine.extruder.temperature > 100.0 && machine.extruder.temperature < 210.0);
        machine.advance(seconds(7));
        let printing = machine.snapshot();
        assert!((0.4..0.6).contains(&printing.progress), "{printing:?}");
        assert!((25..=36).contains(&printing.layer), "{printing:?}");
        assert!((printing.position[2] - 0.2 * f64::from(printing.layer)).abs() < 1e-9);
        machine.advance(seconds(10));
        assert_eq!(machine.snapshot().print, PrintState::Complete);
        assert_eq!((machine.extruder.target, machine.bed.target), (0.0, 0.0));
    }

    #[test]
    fn a_paused_print_stands_still_while_its_time_goes_on() {
        let mut machine = machine();
        machine.start(Print::new("cube.gcode")).unwrap();
        machine.advance(seconds(5));
        assert_eq!(machine.gcode("PAUSE"), Ok(Outcome::Runs(Macro::Pause)));
        machine.finish(Macro::Pause);
        let (paused, total) = (machine.snapshot(), machine.job.as_ref().unwrap().total_s);
        machine.advance(seconds(5));
        assert_eq!(machine.snapshot(), paused);
        assert_eq!((paused.print, paused.position), (PrintState::Paused, PARKED));
        assert!(machine.job.as_ref().unwrap().total_s > total);
        machine.finish(Macro::Resume);
        machine.advance(seconds(1));
        assert!(machine.snapshot().progress > paused.progress);
    }

    #[test]
    fn a_second_print_and_an_unknown_file_are_refused() {
        let mut machine = machine();
        let missing = machine.gcode("SDCARD_PRINT_FILE FILENAME=\"no such.gcode\"");
        assert_eq!(missing, Err(Refused("Unable to open file".into())));
        machine.prepared.insert("my cube.gcode".into(), Print::new("my cube.gcode"));
        assert_eq!(
            machine.gcode("SDCARD_PRINT_FILE FILENAME=\"my cube.gcode\""),
            Ok(Outcome::Done)
        );
        assert_eq!(machine.start(Print::new("other")), Err(Refused("SD busy".into())));
    }

    #[test]
    fn the_head_stays_over_objects_that_are_not_excluded() {
        let print = Print {
            objects: vec![square("A", [50.0, 50.0], 20.0), square("B", [150.0, 150.0], 20.0)],
            ..Print::new("two.gcode")
        };
        let at = |step: u32, excluded: &[String]| {
            let (name, [x, y, _]) = print.head_at(f64::from(step) / 1000.0, excluded);
            (name.map(str::to_owned), x, y)
        };
        for step in 0..1000 {
            let (name, x, y) = at(step, &[]);
            let middle = if name.as_deref() == Some("A") { 50.0 } else { 150.0 };
            assert!((x - middle).abs() <= 10.0 && (y - middle).abs() <= 10.0, "{step}: {x} {y}");
            assert_eq!(at(step, &["A".to_owned()]).0.as_deref(), Some("B"));
        }
        assert_eq!(at(500, &["A".to_owned(), "B".to_owned()]).0, None);
    }
}
