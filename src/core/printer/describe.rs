//! The documents that clients read; published when they change.

use super::Printer;
use super::watching::corners;
use crate::core::contract::Output;
use crate::core::detect::Level;
use crate::core::document::{
    CameraDocument, IncidentDocument, StateDocument, Verdict, klippy_word, print_word, tenths,
    thousandths, unix_seconds,
};
use crate::core::incident::{Question, Stage};
use crate::core::types::{LinkStatus, Now, SourceHealth};
use crate::core::watch::Watch;
use crate::core::watch::credible;

impl Printer {
    pub(super) fn describe(&mut self, now: Now) {
        let state = self.state_document(now);
        if self.told_state.as_ref() != Some(&state) {
            let (printer, document) = (self.name.clone(), Box::new(state.clone()));
            self.outputs.push_back(Output::State { printer, document });
            self.told_state = Some(state);
        }
        let incident = self.incident_document();
        if self.told_incident.as_ref() != Some(&incident) {
            let (printer, document) = (self.name.clone(), incident.clone().map(Box::new));
            self.outputs.push_back(Output::Incident { printer, document });
            self.told_incident = Some(incident);
        }
    }

    fn problem(&self) -> bool {
        self.is_lastingly_blind() || self.is_failing()
    }

    fn is_failing(&self) -> bool {
        self.incident
            .as_ref()
            .is_some_and(|incident| incident.confirmed || !matches!(incident.stage, Stage::Suspect))
    }

    fn verdict(&self) -> Verdict {
        match (&self.incident, &self.watch) {
            (Some(_), _) if self.is_failing() => Verdict::Failing,
            (_, Watch::Blind { .. } | Watch::Off | Watch::Starting) => Verdict::Unknown,
            (Some(_), _) => Verdict::Suspect,
            // While people want quiet no incident opens, and yet it is not clear.
            (None, _) if self.level() > Level::Clear => Verdict::Suspect,
            (None, Watch::Watching) => Verdict::Clear,
            (None, Watch::Degraded { .. }) => Verdict::Unknown,
        }
    }

    pub(super) fn state_document(&self, now: Now) -> StateDocument {
        let status = self.status();
        let seeing = || {
            let seeing = self.cameras.iter().filter(|(name, c)| self.is_seeing(now, name, c));
            seeing.map(|(_, camera)| camera)
        };
        let score = seeing().map(|camera| camera.counted).reduce(f32::max);
        StateDocument {
            watch: self.watch.word(),
            why: self.watch.why(),
            verdict: self.verdict(),
            problem: self.problem(),
            score: score.map(|score| thousandths(f64::from(score))),
            evidence: thousandths(f64::from(self.evidence())),
            incident: self.incident.as_ref().map(|incident| incident.id.clone()),
            job: self.job.as_ref().map(|job| job.id.clone()),
            filename: self.job.as_ref().and_then(|job| job.filename.clone()),
            phase: self.phase,
            progress: status
                .filter(|_| self.job.is_some())
                .and_then(|status| status.progress)
                .filter(|progress| progress.is_finite())
                .map(thousandths),
            layer: status.and_then(|status| status.layer),
            layers: status.and_then(|status| status.layers),
            print: status.map(|status| print_word(status.print)),
            klippy: status.map(|status| klippy_word(status.klippy)),
            link_fault: match &self.link {
                Some(LinkStatus::Down { why }) => Some(why.clone()),
                Some(LinkStatus::Up(_)) => None,
                None => Some("not connected yet".to_owned()),
            },
            armed: self.armed(),
            action: self.memory.on_failure.unwrap_or(self.setup.act.on_failure),
            false_alarms_per_100h: self.detect().act_false_alarms_per_100h,
            snoozed_until: self.snoozed_until.map(|until| unix_seconds(until.unix_ms)),
            frames_per_minute: score.map(|_| seeing().map(|camera| camera.pace.per_minute()).sum()),
            cameras: self
                .cameras
                .keys()
                .map(|name| (name.to_string(), self.camera_document(now, name)))
                .collect(),
            model: self.model.clone(),
            self_test_passed: self.self_test_passed,
        }
    }

    fn camera_document(&self, now: Now, name: &crate::core::types::Name) -> CameraDocument {
        let camera = self.cameras.get(name);
        let report = camera.and_then(|camera| camera.report.as_ref());
        let (health, why) = match report.map(|report| credible(report, self.moves(now))) {
            None | Some(SourceHealth::Idle) => ("idle", None),
            Some(SourceHealth::Opening) => ("opening", None),
            Some(SourceHealth::Seeing) => ("seeing", None),
            Some(SourceHealth::Impaired { why, .. }) => ("impaired", Some(why.clone())),
            Some(SourceHealth::Blind { why, .. }) => ("blind", Some(why.clone())),
        };
        let detect = self.detect();
        let decoding = report.map(|report| report.decoding.clone()).unwrap_or_default();
        CameraDocument {
            health: health.to_owned(),
            why,
            decoder: decoding.element,
            hardware: decoding.hardware,
            decoders_given_up: decoding.gave_up,
            size: report.and_then(|report| report.size),
            infer_ms: camera
                .and_then(|camera| camera.last.as_ref())
                .map(|last| tenths(f64::from(last.infer_ms))),
            held_to_per_100h: camera
                .map(|camera| tenths(camera.detector.held_to(&detect)))
                .filter(|held_to| *held_to < detect.alert_false_alarms_per_100h),
        }
    }

    fn incident_document(&self) -> Option<IncidentDocument> {
        let incident = self.incident.as_ref()?;
        let (stage, acts_at) = match incident.stage {
            Stage::Suspect => ("suspect", None),
            Stage::Alert => ("alert", None),
            Stage::Veto { until_unix_ms, .. } => ("veto", Some(unix_seconds(until_unix_ms))),
            Stage::Acted => ("acted", None),
        };
        Some(IncidentDocument {
            incident: incident.id.clone(),
            job: self.job.as_ref().map(|job| job.id.clone()),
            camera: incident.camera.to_string(),
            opened_at: unix_seconds(incident.opened_unix_ms),
            stage: stage.to_owned(),
            acts_at,
            answer_by: match incident.question {
                Question::Open { until_unix_ms, .. } => Some(unix_seconds(until_unix_ms)),
                Question::Unasked | Question::Lapsed | Question::Closed => None,
            },
            confirmed: incident.confirmed,
            votes: incident.votes.iter().map(|(name, vote)| (name.to_string(), *vote)).collect(),
            votes_needed: self.setup.act.votes_needed.max(1),
            object: incident.object.clone(),
            score: thousandths(f64::from(incident.score)),
            boxes: corners(&incident.boxes)
                .into_iter()
                .map(|corners| corners.map(|value| thousandths(f64::from(value))))
                .collect(),
        })
    }
}
