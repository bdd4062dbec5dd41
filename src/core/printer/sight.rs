//! Whether anybody is really watching: what cameras say of themselves, how often they are looked at, and what lasting
//! blindness brings about.

use super::{Camera, Printer};
use crate::core::action::Origin;
use crate::core::contract::{OnBlind, Output, WatchSettings};
use crate::core::detect::Level;
use crate::core::event::EventKind;
use crate::core::types::{KlippyState, Name, Now, PrinterAction, SourceFault, SourceReport};
use crate::core::watch::{Watch, of_camera, of_cameras, stale_at_ms, why_unseen};

/// A stretch of blindness.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blindness {
    /// Monotonic ms.
    since_ms: u64,
    /// Whether people were told that it lasts.
    told: bool,
}

impl Camera {
    /// What else limits what this camera's scores are worth, where its own account is well.
    fn limits(&self, name: &Name, watch: Watch, settings: &WatchSettings) -> Watch {
        if watch != Watch::Watching {
            return watch;
        }
        if self.detector.is_covered() {
            let why = format!("camera {name}: something stands before it: take it away");
            return Watch::Degraded { fault: Some(SourceFault::Occluded), why };
        }
        match self.pace.slower_than(settings.clear_interval_ms) {
            Some(every_ms) => {
                let (every_s, wanted_s) =
                    (every_ms.div_ceil(1_000), settings.clear_interval_ms as f64 / 1e3);
                let why = format!(
                    "camera {name}: a frame is scored every {every_s} s instead of every {wanted_s} s: the host is short of CPU, or the model runs on a slower device; raise watch.clear_interval"
                );
                Watch::Degraded { fault: None, why }
            }
            None => watch,
        }
    }
}

impl Printer {
    /// Takes in a camera's own account.
    pub fn on_source(&mut self, now: Now, camera: &Name, report: SourceReport) {
        let moves = self.moves(now);
        let Some(camera) = self.cameras.get_mut(camera) else { return };
        if let Some(why) = why_unseen(&report, moves) {
            camera.unseen = Some(why);
        } else if camera.report.as_ref().is_some_and(|before| why_unseen(before, moves).is_some()) {
            // It sees again: scores of what it showed meanwhile say nothing of the print.
            camera.wanted_ms = now.mono_ms;
        }
        camera.report = Some(report);
    }

    /// Whether frames are to be scored now.
    pub(super) fn frames_wanted(&self) -> bool {
        self.phase.wants_frames() && self.model.is_some()
    }

    /// Tells the scheduler how often to score: slow while clear, fast while suspect, not at all without a print.
    pub(super) fn sample(&mut self, now: Now) {
        let wanted = self.frames_wanted();
        let watch = self.setup.watch;
        for (name, camera) in &mut self.cameras {
            let interval_ms = wanted.then_some(if camera.detector.level() > Level::Clear {
                watch.suspect_interval_ms
            } else {
                watch.clear_interval_ms
            });
            if camera.interval_ms == interval_ms {
                continue;
            }
            if camera.interval_ms.is_none() {
                camera.wanted_ms = now.mono_ms;
                camera.unseen = None;
                camera.pace.forget();
            }
            camera.interval_ms = interval_ms;
            self.outputs.push_back(Output::Sampling {
                printer: self.name.clone(),
                camera: name.clone(),
                interval_ms,
            });
        }
    }

    /// Whether it has been laying down strands for so long that nobody who looks can have missed it.
    pub(super) fn moves(&self, now: Now) -> bool {
        self.extrudes_from_ms
            .is_some_and(|from| now.mono_ms.saturating_sub(from) >= SEEN_TO_MOVE_MS)
    }

    /// Whether a camera's last score tells of the print as it is now.
    pub(super) fn is_seeing(&self, now: Now, name: &Name, camera: &Camera) -> bool {
        let watch = of_camera(now.mono_ms, &camera.view(name, &self.setup.watch, self.moves(now)));
        self.frames_wanted() && matches!(watch, Watch::Watching | Watch::Degraded { .. })
    }

    pub(super) fn stale_deadlines_ms(&self) -> impl Iterator<Item = u64> {
        let wanted = self.frames_wanted();
        let views =
            self.cameras.iter().map(|(name, camera)| camera.view(name, &self.setup.watch, false));
        views.filter(move |_| wanted).map(|view| stale_at_ms(&view))
    }

    pub(super) fn judge_watch(&mut self, now: Now, next_id: &mut u64) {
        let watch = self.watch_now(now);
        self.follow_blindness(now, &watch, next_id);
        if !watch.differs_in_kind(&self.watch) {
            self.watch = watch;
            return;
        }
        let kind = match &watch {
            Watch::Off | Watch::Starting => None,
            Watch::Watching => Some(EventKind::Watching),
            Watch::Degraded { fault, why } => {
                Some(EventKind::Degraded { fault: *fault, why: why.clone() })
            }
            Watch::Blind { fault, why } => {
                Some(EventKind::Blind { fault: *fault, why: why.clone(), for_s: None })
            }
        };
        self.watch = watch;
        if let Some(kind) = kind {
            self.event(now, kind);
        }
    }

    fn watch_now(&self, now: Now) -> Watch {
        if !self.phase.wants_frames() {
            return Watch::Off;
        }
        if self.model.is_none() {
            let why = self.model_fault.clone().unwrap_or_else(|| "the model is loading".to_owned());
            return Watch::Blind { fault: None, why };
        }
        let moves = self.moves(now);
        let views = self.cameras.iter().map(|(name, camera)| {
            let watch = of_camera(now.mono_ms, &camera.view(name, &self.setup.watch, moves));
            camera.limits(name, watch, &self.setup.watch)
        });
        let seen = of_cameras(views.collect());
        match (self.why_hands_are_tied(), seen) {
            (Some(why), Watch::Watching) => Watch::Degraded { fault: None, why: why.to_owned() },
            (_, seen) => seen,
        }
    }

    /// What takes the worth from seeing well.
    fn why_hands_are_tied(&self) -> Option<&'static str> {
        match self.status() {
            None => Some("the printer's Moonraker cannot be reached: nothing can be done to it"),
            Some(status) if status.klippy != KlippyState::Ready => {
                Some("Klipper is not ready: nothing can be done to the printer")
            }
            Some(_) if self.self_test_passed == Some(false) => {
                Some("the self-test did not fire: the known failure picture scores too low")
            }
            Some(_) => None,
        }
    }

    /// Tells people of blindness that lasts, once a stretch, and does what they asked for then.
    fn follow_blindness(&mut self, now: Now, watch: &Watch, next_id: &mut u64) {
        let Watch::Blind { fault, why } = watch else {
            if self.blind.take().is_some_and(|blind| blind.told) {
                self.drop_policy_actions_of(BLIND);
            }
            return;
        };
        let blind = self.blind.get_or_insert(Blindness { since_ms: now.mono_ms, told: false });
        let lasted_ms = now.mono_ms.saturating_sub(blind.since_ms);
        if blind.told || lasted_ms < self.setup.watch.blind_alert_after_ms {
            return;
        }
        blind.told = true;
        let for_s = Some(lasted_ms as f64 / 1_000.0);
        self.event(now, EventKind::Blind { fault: *fault, why: why.clone(), for_s });
        let acts = self.setup.act.on_blind == OnBlind::Pause
            && self.armed()
            && self.snoozed_until.is_none();
        if acts {
            let origin = Origin::Policy { incident: BLIND.to_owned() };
            if let Err(reason) = self.begin_action(now, PrinterAction::Pause, origin, next_id) {
                let incident = Some(BLIND.to_owned());
                let action = PrinterAction::Pause.name().to_owned();
                self.event(now, EventKind::ActFailed { incident, action, attempts: 0, reason });
            }
        }
    }

    /// Whether blindness has lasted so long that people were told.
    pub(super) fn is_lastingly_blind(&self) -> bool {
        self.blind.is_some_and(|blind| blind.told)
    }

    /// When blindness will have lasted long enough to tell people.
    pub(super) fn blind_deadline_ms(&self) -> Option<u64> {
        let blind = self.blind.filter(|blind| !blind.told)?;
        Some(blind.since_ms.saturating_add(self.setup.watch.blind_alert_after_ms))
    }
}

/// A camera that says that nothing moves is believed after so long of printing, ms: as long as it looks itself, so that
/// it says nothing of the rest before.
const SEEN_TO_MOVE_MS: u64 = 60_000;

/// What actions for blindness name instead of an incident.
const BLIND: &str = "blind";
