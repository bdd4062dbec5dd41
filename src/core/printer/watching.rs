//! Scores, the incident's steps, and whether anybody is really watching.

use super::Printer;
use crate::core::action::Origin;
use crate::core::command::ActionChoice;
use crate::core::contract::Output;
use crate::core::detect::Level;
use crate::core::event::EventKind;
use crate::core::incident::{Circumstances, Incident, Stage, Step};
use crate::core::types::{
    FrameScore, ModelFacts, Name, Now, PrintState, PrinterAction, ScoredBox, SourceReport,
};
use crate::core::watch::{CameraView, Watch, of_camera, of_cameras, stale_at_ms};

/// Boxes as events carry them.
pub(super) fn corners(boxes: &[ScoredBox]) -> Vec<[f32; 5]> {
    boxes.iter().map(|b| [b.x0, b.y0, b.x1, b.y1, b.p]).collect()
}

impl Printer {
    /// Takes in a frame's score.
    pub fn on_score(
        &mut self,
        now: Now,
        camera: &Name,
        taken_ms: u64,
        score: FrameScore,
        model: &ModelFacts,
    ) {
        let counts = self.phase().frames_count();
        let settings = self.detect();
        let Some(camera) = self.cameras.get_mut(camera) else { return };
        if self.job.is_none() || camera.scored_ms.is_some_and(|last| taken_ms < last) {
            return;
        }
        camera.scored_ms = Some(taken_ms);
        if counts {
            camera.counted = camera.detector.add(taken_ms, &score, model, &settings);
        } else {
            camera.counted = score.score;
        }
        camera.last = Some(score);
        if counts {
            self.open_incident_if_suspect(now);
        }
    }

    /// Takes in a camera's own account.
    pub fn on_source(&mut self, camera: &Name, report: SourceReport) {
        if let Some(camera) = self.cameras.get_mut(camera) {
            camera.report = Some(report);
        }
    }

    /// Takes in which model is loaded, or why none is.
    pub fn on_model(&mut self, model: &Result<ModelFacts, String>) {
        self.model = model.as_ref().ok().map(|facts| facts.name.clone());
        self.model_fault = model.as_ref().err().cloned();
    }

    /// Takes in a self-test.
    pub fn on_self_test(&mut self, now: Now, passed: bool, score: Option<f32>, detail: &str) {
        self.self_test_passed = Some(passed);
        self.event(now, EventKind::SelfTest { passed, score, detail: detail.to_owned() });
    }

    /// The most worrying camera.
    fn worst(&self) -> Option<(&Name, Level)> {
        let mut worst: Option<(&Name, Level)> = None;
        for (name, camera) in &self.cameras {
            let level = camera.detector.level();
            if worst.is_none_or(|(_, so_far)| level > so_far) {
                worst = Some((name, level));
            }
        }
        worst
    }

    fn open_incident_if_suspect(&mut self, now: Now) {
        let Some((camera, level)) = self.worst() else { return };
        let camera = camera.clone();
        if self.incident.is_some() || level < Level::Suspect || self.snoozed_until_ms.is_some() {
            if let Some(incident) = &mut self.incident
                && let Some(seen) = self.cameras.get(&incident.camera)
                && let Some(last) = &seen.last
            {
                incident.boxes.clone_from(&last.boxes);
                incident.score = seen.counted;
            }
            return;
        }
        self.incidents += 1;
        let id = format!("{}-{}-i{}", self.boot, self.name, self.incidents);
        let seen = self.cameras.get(&camera);
        let incident = Incident {
            id: id.clone(),
            camera: camera.clone(),
            opened_unix_ms: now.unix_ms,
            stage: Stage::Suspect,
            confirmed: false,
            votes: std::collections::BTreeMap::new(),
            boxes: seen
                .and_then(|seen| seen.last.as_ref())
                .map(|last| last.boxes.clone())
                .unwrap_or_default(),
            score: seen.map_or(0.0, |seen| seen.counted),
        };
        let kind = EventKind::Suspect {
            incident: id,
            camera: camera.to_string(),
            score: incident.score,
            evidence: self.evidence(),
        };
        self.incident = Some(incident);
        self.event(now, kind);
    }

    /// Evidence as a fraction of what acting needs, of the most worrying camera.
    pub(super) fn evidence(&self) -> f32 {
        let settings = self.detect();
        self.cameras.values().map(|camera| camera.detector.fraction(&settings)).fold(0.0, f32::max)
    }

    /// The action that the daemon would take by itself now.
    fn action_of_policy(&self) -> Option<PrinterAction> {
        match self.memory.on_failure.unwrap_or(self.setup.act.on_failure) {
            ActionChoice::Pause => Some(PrinterAction::Pause),
            ActionChoice::Cancel => Some(PrinterAction::Cancel),
            ActionChoice::Nothing => None,
        }
    }

    fn may_act(&self) -> bool {
        self.armed()
            && self.snoozed_until_ms.is_none()
            && self.action_of_policy().is_some()
            && self.status().is_some_and(|status| status.print == PrintState::Printing)
    }

    pub(super) fn step_incident(&mut self, now: Now, next_id: &mut u64) {
        // Each step changes the stage or ends the incident, so this ends; four is every stage once.
        for _ in 0..4 {
            let level = self.worst().map_or(Level::Clear, |(_, level)| level);
            let circumstances = Circumstances {
                level,
                may_act: self.may_act(),
                snoozed: self.snoozed_until_ms.is_some(),
                now_ms: now.mono_ms,
                veto_ms: self.setup.act.veto_ms,
            };
            let Some(incident) = self.incident.as_mut() else { return };
            match incident.step(circumstances) {
                Step::Stay => return,
                Step::Clear => self.close_incident(now, "the evidence went away"),
                Step::Alert => {
                    incident.stage = Stage::Alert;
                    self.alert(now);
                }
                Step::StartVeto { until_ms } => incident.stage = Stage::Veto { until_ms },
                Step::StopVeto => incident.stage = Stage::Alert,
                Step::Act => {
                    incident.stage = Stage::Acted;
                    self.act(now, next_id);
                }
            }
        }
    }

    fn alert(&mut self, now: Now) {
        let Some(incident) = &self.incident else { return };
        let (id, camera) = (incident.id.clone(), incident.camera.clone());
        let kind = EventKind::Alert {
            incident: id.clone(),
            camera: camera.to_string(),
            score: incident.score,
            evidence: self.evidence(),
            boxes: corners(&incident.boxes),
        };
        self.event(now, kind);
        let printer = self.name.clone();
        self.outputs.push_back(Output::FailureImage { printer, camera, incident: id });
    }

    fn act(&mut self, now: Now, next_id: &mut u64) {
        let Some(incident) = self.incident.as_ref().map(|incident| incident.id.clone()) else {
            return;
        };
        let Some(action) = self.action_of_policy() else { return };
        let origin = Origin::Policy { incident: incident.clone() };
        let name = action.name().to_owned();
        if let Err(reason) = self.begin_action(now, action, origin, next_id) {
            let kind = EventKind::ActFailed {
                incident: Some(incident),
                action: name,
                attempts: 0,
                reason,
            };
            self.event(now, kind);
        }
    }

    pub(super) fn close_incident(&mut self, now: Now, why: &str) {
        if let Some(incident) = self.incident.take() {
            let why = why.to_owned();
            self.event(now, EventKind::Cleared { incident: incident.id, why });
        }
    }

    /// Tells the scheduler how often to score: slow while clear, fast while suspect, not at all without a print.
    pub(super) fn sample(&mut self, now: Now) {
        let wanted = self.phase().wants_frames() && self.model.is_some();
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
            }
            camera.interval_ms = interval_ms;
            self.outputs.push_back(Output::Sampling {
                printer: self.name.clone(),
                camera: name.clone(),
                interval_ms,
            });
        }
    }

    fn views(&self) -> impl Iterator<Item = CameraView<'_>> {
        self.cameras.iter().map(|(name, camera)| CameraView {
            name: name.as_str(),
            report: camera.report.as_ref(),
            wanted_ms: camera.wanted_ms,
            scored_ms: camera.scored_ms,
            interval_ms: camera.interval_ms.unwrap_or(self.setup.watch.clear_interval_ms),
        })
    }

    pub(super) fn stale_deadline_ms(&self) -> Option<u64> {
        if !self.phase().wants_frames() || matches!(self.watch, Watch::Blind { .. }) {
            return None;
        }
        self.views().map(|view| stale_at_ms(&view)).min()
    }

    pub(super) fn judge_watch(&mut self, now: Now) {
        let watch = self.watch_now(now);
        if watch == self.watch {
            return;
        }
        let kind = match &watch {
            Watch::Off | Watch::Starting => None,
            Watch::Watching => Some(EventKind::Watching),
            Watch::Degraded { fault, why } => {
                Some(EventKind::Degraded { fault: *fault, why: why.clone() })
            }
            Watch::Blind { fault, why } => {
                Some(EventKind::Blind { fault: *fault, why: why.clone() })
            }
        };
        self.watch = watch;
        if let Some(kind) = kind {
            self.event(now, kind);
        }
    }

    fn watch_now(&self, now: Now) -> Watch {
        if !self.phase().wants_frames() {
            return Watch::Off;
        }
        if self.model.is_none() {
            let why = self.model_fault.clone().unwrap_or_else(|| "the model is loading".to_owned());
            return Watch::Blind { fault: None, why };
        }
        let seen = of_cameras(self.views().map(|view| of_camera(now.mono_ms, &view)).collect());
        match (self.status(), &seen) {
            (None, Watch::Watching) => Watch::Degraded {
                fault: None,
                why: "the printer's Moonraker cannot be reached: nothing can be done to it".into(),
            },
            (_, _) if seen == Watch::Watching && self.self_test_passed == Some(false) => {
                Watch::Degraded {
                    fault: None,
                    why: "the self-test did not fire: the known failure picture scores too low"
                        .into(),
                }
            }
            (_, _) => seen,
        }
    }
}
