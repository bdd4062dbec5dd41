//! The link and the print's life: jobs begin, pause, resume and end as the printer reports it.

use super::Printer;
use crate::core::contract::Output;
use crate::core::event::EventKind;
use crate::core::print::Job;
use crate::core::types::{KlippyState, LinkStatus, Now, PrintState, PrinterAction, PrinterStatus};

impl Printer {
    /// Takes in what is known of the printer now.
    pub fn on_link(&mut self, now: Now, link: LinkStatus) {
        let online = matches!(&link, LinkStatus::Up(status) if status.klippy == KlippyState::Ready);
        if self.online != Some(online) {
            self.online = Some(online);
            self.outputs.push_back(Output::Availability { printer: self.name.clone(), online });
        }
        let before = self.status().map(|status| status.print);
        self.link = Some(link);
        let Some(status) = self.status().cloned() else { return };
        match status.klippy {
            KlippyState::Ready => self.follow_job(now, before, &status),
            // A restart: what became of the job is seen when Klippy is ready again.
            KlippyState::Startup | KlippyState::Disconnected => {}
            KlippyState::Shutdown | KlippyState::Error => self.end_job(now, "error"),
        }
    }

    fn follow_job(&mut self, now: Now, before: Option<PrintState>, status: &PrinterStatus) {
        if !status.print.is_active() {
            let outcome = match status.print {
                PrintState::Complete => "complete",
                PrintState::Cancelled => "cancelled",
                PrintState::Error => "error",
                PrintState::Standby | PrintState::Printing | PrintState::Paused => "unknown",
            };
            self.end_job(now, outcome);
            return;
        }
        let continues = self.job.as_mut().map(|job| job.continues_in(status));
        if continues == Some(false) {
            self.end_job(now, "unknown");
        }
        if continues != Some(true) {
            self.begin_job(now, status);
            return;
        }
        match (before, status.print) {
            (Some(PrintState::Printing), PrintState::Paused) => self.on_paused(now, status),
            (Some(PrintState::Paused), PrintState::Printing) => self.on_resumed(now),
            (_, _) => {}
        }
    }

    fn begin_job(&mut self, now: Now, status: &PrinterStatus) {
        self.job = Some(Job::begin(now, status));
        for camera in self.cameras.values_mut() {
            camera.detector.new_print();
            camera.scored_ms = None;
            camera.last = None;
        }
        self.event(now, EventKind::PrintStarted { filename: status.filename.clone() });
    }

    fn end_job(&mut self, now: Now, outcome: &str) {
        let Some(job) = self.job.clone() else { return };
        if outcome == "cancelled" {
            let (by, incident) = self.who(&PrinterAction::Cancel);
            self.event(now, EventKind::Cancelled { incident, by });
        }
        self.settle_pending_of_ended_job(now);
        self.close_incident(now, "the print ended");
        let duration_s = (now.unix_ms - job.started_unix_ms).max(0) as f64 / 1000.0;
        self.event(now, EventKind::PrintEnded { outcome: outcome.to_owned(), duration_s });
        self.job = None;
        self.memory.lifetime = self
            .cameras
            .iter()
            .map(|(name, camera)| (name.clone(), camera.detector.tsd.lifetime))
            .collect();
    }

    fn on_paused(&mut self, now: Now, status: &PrinterStatus) {
        let (by, incident) = self.who(&PrinterAction::Pause);
        let idle_timeout_s = status.idle_timeout_s;
        self.event(now, EventKind::Paused { incident, by, idle_timeout_s });
    }

    /// Whoever resumes has looked: the incident is over, what it was about may raise another.
    fn on_resumed(&mut self, now: Now) {
        if self.incident.is_some() {
            self.close_incident(now, "the print was resumed");
            for camera in self.cameras.values_mut() {
                camera.detector.forget();
            }
        }
    }

    /// Who asked for what the printer now reports.
    fn who(&self, action: &PrinterAction) -> (String, Option<String>) {
        self.pending
            .iter()
            .find(|pending| pending.action == *action)
            .map_or(("printer".to_owned(), None), |pending| {
                (pending.origin.by(), pending.origin.incident())
            })
    }
}
