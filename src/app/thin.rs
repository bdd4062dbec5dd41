//! Klipper reports its state four times a second; the core is told of what it decides by at once, and of the rest every few
//! seconds. The journal records what the core was told, so it stays small and its replay is exact.

use std::collections::BTreeMap;

use crate::core::contract::Input;
use crate::core::print::Phase;
use crate::core::types::{LinkStatus, Name, Now, PrinterStatus};

/// Progress, durations, temperatures and the head's place are told this often, ms.
const EVERY_MS: u64 = 5_000;

/// What the core was told last of each printer.
#[derive(Debug, Default)]
pub struct Thinner {
    told: BTreeMap<Name, (u64, LinkStatus)>,
}

impl Thinner {
    /// Whether the core should hear of this input now.
    pub fn lets_in(&mut self, now: Now, input: &Input) -> bool {
        let Input::Printer { printer, link } = input else { return true };
        let old_news = self.told.get(printer).is_some_and(|(at_ms, told)| {
            told == link
                || now.mono_ms < at_ms.saturating_add(EVERY_MS) && essence(told) == essence(link)
        });
        if !old_news {
            self.told.insert(printer.clone(), (now.mono_ms, link.clone()));
        }
        !old_news
    }
}

/// What a decision can hang on: everything but what changes all the time.
fn essence(link: &LinkStatus) -> Option<(Phase, PrinterStatus)> {
    let LinkStatus::Up(status) = link else { return None };
    let mut essence = PrinterStatus {
        // A duration that falls is another job.
        total_duration_s: 0.0,
        print_duration_s: 0.0,
        filament_used_mm: 0.0,
        progress: None,
        live_position: None,
        ..PrinterStatus::clone(status)
    };
    for heater in [&mut essence.extruder, &mut essence.bed].into_iter().flatten() {
        heater.temperature = 0.0;
    }
    Some((Phase::of(status), essence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::types::{Heater, KlippyState, PrintState};

    fn at(ms: u64) -> Now {
        Now { mono_ms: ms, unix_ms: 0 }
    }

    fn printing() -> PrinterStatus {
        PrinterStatus {
            klippy: KlippyState::Ready,
            print: PrintState::Printing,
            filament_used_mm: 5.0,
            extruder: Some(Heater { temperature: 210.0, target: 210.0 }),
            ..PrinterStatus::default()
        }
    }

    fn report(status: PrinterStatus) -> Input {
        let link = LinkStatus::Up(Box::new(status));
        Input::Printer { printer: Name::parse("voron").unwrap(), link }
    }

    #[test]
    fn what_changes_all_the_time_is_told_every_few_seconds() {
        let mut thinner = Thinner::default();
        let mut told = 0;
        for quarter in 0..400_u32 {
            let status = PrinterStatus {
                total_duration_s: f64::from(quarter) / 4.0,
                live_position: Some([f64::from(quarter), 0.0, 0.2]),
                ..printing()
            };
            told += u32::from(thinner.lets_in(at(u64::from(quarter) * 250), &report(status)));
        }
        assert_eq!(told, 20);
    }

    #[test]
    fn what_decides_is_told_at_once() {
        let changes: [fn(&mut PrinterStatus); 6] = [
            |status| status.print = PrintState::Paused,
            |status| status.layer = Some(2),
            |status| status.timelapse_parked = true,
            |status| status.filament_used_mm = 0.0,
            |status| status.extruder = Some(Heater { temperature: 210.0, target: 0.0 }),
            |status| status.klippy = KlippyState::Shutdown,
        ];
        for change in changes {
            let mut thinner = Thinner::default();
            assert!(thinner.lets_in(at(0), &report(printing())));
            assert!(!thinner.lets_in(at(250), &report(printing())));
            let mut changed = printing();
            change(&mut changed);
            assert!(thinner.lets_in(at(500), &report(changed.clone())), "{changed:?}");
        }
        let mut thinner = Thinner::default();
        assert!(thinner.lets_in(at(0), &report(printing())));
        let down = LinkStatus::Down { why: "refused".into() };
        let printer = Name::parse("voron").unwrap();
        assert!(thinner.lets_in(at(1), &Input::Printer { printer, link: down }));
        assert!(thinner.lets_in(at(2), &Input::Tick) && thinner.lets_in(at(2), &Input::Tick));
    }
}
