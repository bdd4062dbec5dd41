//! The link and the print's life: jobs begin, pause, resume and end as the printer reports it.

use super::Printer;
use crate::core::action::Standing;
use crate::core::contract::Output;
use crate::core::event::EventKind;
use crate::core::print::{Job, Phase};
use crate::core::types::{KlippyState, LinkStatus, Now, PrintState, PrinterAction, PrinterStatus};

impl Printer {
    /// Takes in what is known of the printer now.
    pub fn on_link(&mut self, now: Now, link: LinkStatus) {
        let online = matches!(&link, LinkStatus::Up(status) if status.klippy == KlippyState::Ready);
        if self.online != Some(online) {
            self.online = Some(online);
            self.outputs.push_back(Output::Availability { printer: self.name.clone(), online });
        }
        self.link = Some(link);
        let status = self.status().cloned();
        match status {
            Some(status) if status.klippy == KlippyState::Ready => self.follow_job(now, &status),
            Some(PrinterStatus { klippy: KlippyState::Shutdown | KlippyState::Error, .. }) => {
                self.end_job(now, "error");
            }
            // A restart, or no link: what became of the job is seen afterwards.
            Some(_) | None => {
                if let Some(job) = &mut self.job {
                    job.lose_sight(now);
                }
            }
        }
    }

    fn follow_job(&mut self, now: Now, status: &PrinterStatus) {
        if !status.print.is_active() {
            if let Some(job) = &mut self.job {
                job.ends_in(status);
            }
            let outcome = match status.print {
                PrintState::Complete => "complete",
                PrintState::Cancelled => "cancelled",
                PrintState::Error => "error",
                PrintState::Standby | PrintState::Printing | PrintState::Paused => "unknown",
            };
            self.end_job(now, outcome);
            return;
        }
        let before = self.job.as_ref().map(|job| job.state);
        if self.job.as_mut().is_some_and(|job| job.continues_in(now, status)) {
            match (before, status.print) {
                (Some(PrintState::Printing), PrintState::Paused) => self.on_paused(now, status),
                (Some(PrintState::Paused), PrintState::Printing) => self.on_resumed(now),
                (_, _) => {}
            }
        } else {
            self.end_job(now, "unknown");
            self.begin_job(now, status);
        }
        self.enter_phase(now, Phase::of(status));
    }

    /// Frames count from the moment on at which the phase lets them: what was taken before shows something else.
    fn enter_phase(&mut self, now: Now, phase: Phase) {
        if phase.frames_count() && !self.phase.frames_count() {
            self.counts_from_ms = now.mono_ms;
            for camera in self.cameras.values_mut() {
                camera.detector.interrupt();
            }
        }
        let extrudes = matches!(phase, Phase::FirstLayer | Phase::Printing);
        self.extrudes_from_ms = extrudes.then(|| self.extrudes_from_ms.unwrap_or(now.mono_ms));
        self.phase = phase;
    }

    fn begin_job(&mut self, now: Now, status: &PrinterStatus) {
        self.job = Some(Job::begin(now, status));
        self.job_from_ms = now.mono_ms;
        for camera in self.cameras.values_mut() {
            camera.begin_print(now);
        }
        self.event(now, EventKind::PrintStarted { filename: status.filename.clone() });
    }

    fn end_job(&mut self, now: Now, outcome: &str) {
        let Some(job) = self.job.as_ref() else { return };
        let duration_s = job.total_s;
        if outcome == "cancelled" {
            let (by, incident) = self.who(&PrinterAction::Cancel);
            self.event(now, EventKind::Cancelled { incident, by });
        }
        self.settle_pending_of_ended_job(now);
        self.close_incident(now, "the print ended");
        self.unanswered = None;
        self.event(now, EventKind::PrintEnded { outcome: outcome.to_owned(), duration_s });
        self.job = None;
        self.cooling = None;
        self.phase = Phase::Idle;
        self.extrudes_from_ms = None;
        for (name, camera) in &mut self.cameras {
            if outcome == "complete"
                && let Some(clutter) = camera.detector.settle()
            {
                self.outputs.push_back(Output::Learned {
                    printer: self.name.clone(),
                    camera: name.clone(),
                    clutter: Some(clutter.clone()),
                });
            }
            self.memory.lifetime.insert(name.clone(), camera.detector.tsd.lifetime);
            self.memory.habits.insert(name.clone(), camera.detector.habit());
            camera.begin_print(now);
        }
    }

    fn on_paused(&mut self, now: Now, status: &PrinterStatus) {
        let (by, incident) = self.who(&PrinterAction::Pause);
        match &incident {
            // Somebody else was faster: what the daemon wanted (a cancel, say) is theirs to decide now.
            None => self.drop_policy_actions(),
            Some(incident) => {
                self.plan_cooling(now, incident);
                self.ask_people(now);
            }
        }
        let idle_timeout_s = status.idle_timeout_s;
        self.event(now, EventKind::Paused { incident, by, idle_timeout_s });
    }

    /// Whoever resumes has looked: the incident is over, what it was about may raise another.
    fn on_resumed(&mut self, now: Now) {
        self.cooling = None;
        if self.incident.is_some() {
            self.close_incident(now, "the print was resumed");
            self.drop_policy_actions();
            for camera in self.cameras.values_mut() {
                camera.detector.forget();
            }
        }
    }

    /// Who asked for what the printer now reports. An attempt that was refused is not what brought it about.
    fn who(&self, action: &PrinterAction) -> (String, Option<String>) {
        self.pending
            .iter()
            .find(|pending| {
                pending.action == *action && matches!(pending.standing, Standing::Sent { .. })
            })
            .map_or(("printer".to_owned(), None), |pending| {
                (pending.origin.by(), pending.origin.incident())
            })
    }
}
