//! Puts messages onto a printer's own screens, one after the other: a printer that is busy shows nothing for a while, and
//! then only what still matters.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::core::screen::ScreenMessage;
use crate::core::types::Name;
use crate::ports::PrinterLink;

/// Messages that may wait; more are dropped.
pub const WAITING: usize = 64;
/// Of the lines that waited while the printer was busy, so many newest are shown.
const LINES_KEPT: usize = 8;

/// Works until cancelled.
pub async fn run(
    printer: Name,
    link: Arc<dyn PrinterLink>,
    mut messages: mpsc::Receiver<ScreenMessage>,
    cancel: CancellationToken,
) {
    let show = async {
        while let Some(first) = messages.recv().await {
            let mut waiting = vec![first];
            while let Ok(next) = messages.try_recv() {
                waiting.push(next);
            }
            for message in that_matter(waiting) {
                if let Err(why) = link.show(message).await {
                    tracing::debug!(%printer, "not shown: {why}");
                }
            }
        }
    };
    let _ = cancel.run_until_cancelled(show).await;
}

/// The newest lines, and of the dialogs the newest, in their order.
fn that_matter(waiting: Vec<ScreenMessage>) -> Vec<ScreenMessage> {
    let is_line = |message: &ScreenMessage| matches!(message, ScreenMessage::Line { .. });
    let mut lines = waiting.iter().filter(|message| is_line(message)).count();
    let mut dialogs = waiting.len() - lines;
    let matters = |message: &ScreenMessage| {
        let (left, kept) =
            if is_line(message) { (&mut lines, LINES_KEPT) } else { (&mut dialogs, 1) };
        *left -= 1;
        *left < kept
    };
    waiting.into_iter().filter(matters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printer_that_was_busy_shows_the_newest_lines_and_the_newest_dialog() {
        let line = |n: usize| ScreenMessage::Line { text: n.to_string(), urgent: false };
        let mut waiting: Vec<ScreenMessage> = (0..20).map(line).collect();
        waiting.insert(5, ScreenMessage::ClosePrompt);
        waiting.insert(18, ScreenMessage::ClosePrompt);
        let mut expected: Vec<ScreenMessage> = (12..20).map(line).collect();
        expected.insert(5, ScreenMessage::ClosePrompt);
        assert_eq!(that_matter(waiting), expected);
    }
}
