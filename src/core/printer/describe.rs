//! The documents that clients read; published when they change.

use super::Printer;
use super::watching::corners;
use crate::core::contract::Output;
use crate::core::document::{
    CameraDocument, IncidentDocument, StateDocument, Verdict, klippy_word, print_word, thousandths,
    unix_seconds,
};
use crate::core::incident::Stage;
use crate::core::types::{LinkStatus, Now, SourceHealth};
use crate::core::watch::{Watch, WatchWord};

impl Printer {
    pub(super) fn describe(&mut self, now: Now) {
        let state = self.state_document(now);
        if self.told_state.as_ref() != Some(&state) {
            if let Ok(document) = serde_json::to_value(&state) {
                let printer = self.name.clone();
                self.outputs.push_back(Output::State { printer, document });
            }
            self.told_state = Some(state);
        }
        let incident = self.incident_document(now);
        if self.told_incident != incident {
            let document = incident.as_ref().and_then(|i| serde_json::to_value(i).ok());
            let printer = self.name.clone();
            self.outputs.push_back(Output::Incident { printer, document });
            self.told_incident = incident;
        }
    }

    fn problem(&self) -> bool {
        self.incident
            .as_ref()
            .is_some_and(|incident| incident.confirmed || !matches!(incident.stage, Stage::Suspect))
    }

    fn verdict(&self) -> Verdict {
        match (&self.incident, &self.watch) {
            (Some(_), _) if self.problem() => Verdict::Failing,
            (_, Watch::Blind { .. } | Watch::Off | Watch::Starting) => Verdict::Unknown,
            (Some(_), _) => Verdict::Suspect,
            (None, Watch::Watching) => Verdict::Clear,
            (None, Watch::Degraded { .. }) => Verdict::Unknown,
        }
    }

    /// Wall-clock time of a monotonic deadline, Unix seconds, whole: it must not flicker with the clocks' drift.
    fn wall_time(now: Now, at_ms: u64) -> f64 {
        let ahead = i64::try_from(at_ms)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(now.mono_ms).unwrap_or(i64::MAX));
        unix_seconds(now.unix_ms.saturating_add(ahead)).round()
    }

    pub(super) fn state_document(&self, now: Now) -> StateDocument {
        let status = self.status();
        let scored = self.phase().wants_frames();
        let score = self
            .cameras
            .values()
            .filter(|camera| scored && camera.last.is_some())
            .map(|camera| camera.counted)
            .reduce(f32::max);
        StateDocument {
            watch: self.watch.word(),
            why: self.watch.why(),
            verdict: self.verdict(),
            problem: self.problem(),
            score: score
                .filter(|_| self.watch.word() != WatchWord::Blind)
                .map(|score| thousandths(f64::from(score))),
            evidence: thousandths(f64::from(self.evidence())),
            incident: self.incident.as_ref().map(|incident| incident.id.clone()),
            job: self.job.as_ref().map(|job| job.id.clone()),
            filename: self.job.as_ref().and_then(|job| job.filename.clone()),
            phase: self.phase(),
            progress: status
                .filter(|_| self.job.is_some())
                .and_then(|status| status.progress)
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
            snoozed_until: self.snoozed_until_ms.map(|until| Self::wall_time(now, until)),
            cameras: self
                .cameras
                .keys()
                .map(|name| (name.to_string(), self.camera_document(name)))
                .collect(),
            model: self.model.clone(),
            self_test_passed: self.self_test_passed,
        }
    }

    fn camera_document(&self, name: &crate::core::types::Name) -> CameraDocument {
        let camera = self.cameras.get(name);
        let report = camera.and_then(|camera| camera.report.as_ref());
        let (health, why) = match report.map(|report| &report.health) {
            None | Some(SourceHealth::Idle) => ("idle", None),
            Some(SourceHealth::Opening) => ("opening", None),
            Some(SourceHealth::Seeing) => ("seeing", None),
            Some(SourceHealth::Impaired { why, .. }) => ("impaired", Some(why.clone())),
            Some(SourceHealth::Blind { why, .. }) => ("blind", Some(why.clone())),
        };
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
                .map(|last| (f64::from(last.infer_ms) * 10.0).round() / 10.0),
        }
    }

    fn incident_document(&self, now: Now) -> Option<IncidentDocument> {
        let incident = self.incident.as_ref()?;
        let (stage, acts_at) = match incident.stage {
            Stage::Suspect => ("suspect", None),
            Stage::Alert => ("alert", None),
            Stage::Veto { until_ms } => ("veto", Some(Self::wall_time(now, until_ms))),
            Stage::Acted => ("acted", None),
        };
        Some(IncidentDocument {
            incident: incident.id.clone(),
            job: self.job.as_ref().map(|job| job.id.clone()),
            camera: incident.camera.to_string(),
            opened_at: unix_seconds(incident.opened_unix_ms),
            stage: stage.to_owned(),
            acts_at,
            confirmed: incident.confirmed,
            votes: incident.votes.iter().map(|(name, vote)| (name.to_string(), *vote)).collect(),
            votes_needed: self.setup.act.votes_needed.max(1),
            score: thousandths(f64::from(incident.score)),
            boxes: corners(&incident.boxes),
        })
    }
}
