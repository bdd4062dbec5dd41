//! Scores, and the incident's steps.

use super::Printer;
use crate::core::action::Origin;
use crate::core::command::ActionChoice;
use crate::core::contract::Output;
use crate::core::detect::Level;
use crate::core::detect::statistic::is_usable;
use crate::core::event::EventKind;
use crate::core::incident::{Circumstances, Incident, Question, Stage, Step};
use crate::core::print::Frames;
use crate::core::types::{
    FrameScore, KlippyState, ModelFacts, Name, Now, PrintState, PrinterAction, ScoredBox,
};
use crate::core::watch::why_unseen;

/// How many boxes an event carries at most; the most probable come first.
const BOXES_TOLD: usize = 32;

/// Boxes as events carry them.
pub(super) fn corners(boxes: &[ScoredBox]) -> Vec<[f32; 5]> {
    boxes.iter().take(BOXES_TOLD).map(|b| [b.x0, b.y0, b.x1, b.y1, b.p]).collect()
}

impl Printer {
    /// Takes in a frame's score.
    pub fn on_score(
        &mut self,
        now: Now,
        name: &Name,
        taken_ms: u64,
        score: FrameScore,
        model: &ModelFacts,
    ) {
        let phase_counts = self.phase.frames_count() && taken_ms >= self.counts_from_ms;
        let settings = self.detect();
        let may_learn = self.incident.is_none() && self.snoozed_until.is_none();
        let early = self.phase.frames() == Frames::Background;
        let prior = self.phase.prior();
        let moves = self.moves(now);
        let extrudes = self.extrudes_from_ms.is_some();
        let Some(camera) = self.cameras.get_mut(name) else { return };
        if self.job.is_none()
            || taken_ms < self.job_from_ms
            || camera.scored_ms.is_some_and(|last| taken_ms < last)
            || !is_usable(model.score_rule, &score)
        {
            return;
        }
        camera.scored_ms = Some(taken_ms);
        camera.pace.note(now.mono_ms);
        let seen = camera.report.as_ref().is_none_or(|report| why_unseen(report, moves).is_none());
        if seen && taken_ms > camera.wanted_ms {
            camera.unseen = None;
        }
        let counts = phase_counts && seen;
        if seen && camera.detector.follow_view(&score, extrudes) {
            let (printer, camera) = (self.name.clone(), name.clone());
            self.outputs.push_back(Output::Learned { printer, camera, clutter: None });
        }
        if counts {
            let circumstances = (prior, may_learn);
            camera.counted = camera.detector.add(taken_ms, &score, model, &settings, circumstances);
        } else {
            camera.counted = camera.detector.look(taken_ms, &score, model, early && seen);
            if !seen {
                camera.detector.interrupt();
            }
        }
        camera.last = Some(score);
        if counts {
            self.follow_incident(now);
            self.keep_worst(name);
            self.accuse_object();
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

    /// How worrying it is.
    pub(super) fn level(&self) -> Level {
        self.worst().map_or(Level::Clear, |(_, level)| level)
    }

    /// Shows the newest frame in the open incident, or opens one.
    fn follow_incident(&mut self, now: Now) {
        if let Some(incident) = &mut self.incident {
            if let Some(seen) = self.cameras.get(&incident.camera)
                && let Some(last) = &seen.last
            {
                incident.boxes.clone_from(&last.boxes);
                incident.score = seen.counted;
            }
            return;
        }
        let Some((camera, level)) = self.worst() else { return };
        if level < Level::Suspect || self.snoozed_until.is_some() {
            return;
        }
        let camera = camera.clone();
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
            question: Question::Unasked,
            object: None,
            boxes: seen
                .and_then(|seen| seen.last.as_ref())
                .map(|last| last.boxes.clone())
                .unwrap_or_default(),
            score: seen.map_or(0.0, |seen| seen.counted),
            worst: std::collections::BTreeMap::new(),
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

    /// Keeps this camera's newest frame with the open incident if it is the worst that it showed of it.
    fn keep_worst(&mut self, name: &Name) {
        let (Some(incident), Some(camera)) = (self.incident.as_mut(), self.cameras.get(name))
        else {
            return;
        };
        let so_far = incident.worst.get(name).map(|(counted, _)| *counted);
        if camera.detector.level() > Level::Clear
            && so_far.is_none_or(|worst| camera.counted >= worst)
            && let Some(last) = &camera.last
        {
            incident.worst.insert(name.clone(), (camera.counted, last.clone()));
        }
    }

    /// Evidence as a fraction of what acting needs, of the most worrying camera.
    pub(super) fn evidence(&self) -> f32 {
        let settings = self.detect();
        self.cameras.values().map(|camera| camera.detector.fraction(&settings)).fold(0.0, f32::max)
    }

    /// The action that the daemon would take by itself now.
    pub(super) fn action_of_policy(&self) -> Option<PrinterAction> {
        let confirmed = self.incident.as_ref().is_some_and(|incident| incident.confirmed);
        let on_failure = self.memory.on_failure.unwrap_or(self.setup.act.on_failure);
        match self.setup.act.on_confirmed.filter(|_| confirmed).unwrap_or(on_failure) {
            ActionChoice::Pause => Some(PrinterAction::Pause),
            ActionChoice::Cancel => Some(PrinterAction::Cancel),
            // Whose failure it is must be certain, and something must be left to print.
            ActionChoice::ExcludeObject => {
                let object = self.incident.as_ref().and_then(|incident| incident.object.clone());
                let skip = object.map(|object| PrinterAction::ExcludeObject { object });
                Some(skip.unwrap_or(PrinterAction::Pause))
            }
            ActionChoice::Nothing => None,
        }
    }

    /// Whether people let the daemon act by itself now.
    fn may_act(&self) -> bool {
        let paused = self.job.as_ref().is_some_and(|job| job.state == PrintState::Paused);
        self.armed() && self.snoozed_until.is_none() && self.action_of_policy().is_some() && !paused
    }

    /// Whether the printer could do it now. While somebody's own pause or cancel is under way it is theirs; should it
    /// fail, the daemon acts.
    fn can_act(&self) -> bool {
        let theirs = self.pending.iter().any(|pending| {
            !matches!(pending.action, PrinterAction::ExcludeObject { .. })
                && matches!(pending.origin, Origin::Client { .. })
        });
        let running = self.status().is_some_and(|status| {
            status.klippy == KlippyState::Ready && status.print == PrintState::Printing
        });
        running && !theirs
    }

    pub(super) fn step_incident(&mut self, now: Now, next_id: &mut u64) {
        // Each step changes the stage or ends the incident, so this ends; four is every stage once.
        for _ in 0..4 {
            let circumstances = Circumstances {
                level: self.level(),
                may_act: self.may_act(),
                can_act: self.can_act(),
                snoozed: self.snoozed_until.is_some(),
                now_ms: now.mono_ms,
                veto_ms: self.setup.act.veto_ms,
            };
            let Some(incident) = self.incident.as_mut() else { return };
            match incident.step(circumstances) {
                Step::Stay => return,
                Step::Clear if incident.stage == Stage::Suspect => {
                    self.close_incident(now, "the evidence went away");
                }
                Step::Clear => {
                    let told = incident.clone();
                    self.close_incident(now, "the evidence went away; answers to it still count");
                    self.unanswered = Some(told);
                }
                Step::Alert => {
                    incident.stage = Stage::Alert;
                    self.unanswered = None;
                    self.alert(now);
                }
                Step::StartVeto { until_ms } => {
                    let ahead_ms = until_ms.saturating_sub(now.mono_ms);
                    let until_unix_ms = now.unix_ms.saturating_add_unsigned(ahead_ms);
                    incident.stage = Stage::Veto { until_ms, until_unix_ms };
                }
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
        if let Some(action) = self.action_of_policy() {
            self.act_for_incident(now, action, next_id);
        }
    }

    /// Does something for the open incident.
    pub(super) fn act_for_incident(&mut self, now: Now, action: PrinterAction, next_id: &mut u64) {
        let Some(incident) = self.incident.as_ref().map(|incident| incident.id.clone()) else {
            return;
        };
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
}
