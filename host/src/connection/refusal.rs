//! Handshakes that are refused: counted by reason, and those that are mostly a mistake of who runs the server or the page told in the log.

use hyper::Response;

use super::addresses::Addresses;
use super::answer::Body;
use super::front::Front;
use wsrun_metrics::RefusalReason;
use wsrun_metrics::seldom::Seldom;
use wsrun_metrics::text::line;

/// What is shown of what a client sent.
const SHOWN_MAX: usize = 100;

/// A handshake that is refused, and what is answered.
pub(super) struct Refused {
    reason: RefusalReason,
    response: Response<Body>,
    /// What the log is told, if anything.
    told: Option<String>,
}

impl Refused {
    pub(super) fn new(reason: RefusalReason, response: Response<Body>) -> Self {
        Self {
            reason,
            response,
            told: None,
        }
    }

    /// With a line in the log.
    pub(super) fn told(mut self, line: String) -> Self {
        self.told = Some(line);
        self
    }

    /// Counts and tells it.
    pub(super) fn note(self, front: &Front, addresses: &Addresses) -> Response<Body> {
        let Self {
            reason,
            response,
            told,
        } = self;
        front.worker.tally.handshakes_refused[reason as usize].add(1);
        if let Some(told) = told {
            // Who it was is for `debug`.
            tracing::debug!(peer = %addresses.peer, reason = reason.name(), "handshake refused");
            static TOLD: [Seldom; RefusalReason::ALL.len()] =
                [const { Seldom::new() }; RefusalReason::ALL.len()];
            if let Some(left_out) = TOLD[reason as usize].take() {
                tracing::info!(
                    reason = reason.name(),
                    left_out,
                    "handshake refused: {told}"
                );
            }
        }
        response
    }
}

/// What a client sent, in quotes, short, on one line and without anything that could move a cursor.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_MAX).collect();
    match short.len() < text.len() {
        true => format!("\"{}…\"", line(short)),
        false => format!("\"{}\"", line(short)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_stays_on_one_line_and_short() {
        let text = format!("a\n\u{1b}[2J\u{202e}\u{2028}{}", "x".repeat(10_000));
        let shown = shown(&text);
        assert!(shown.chars().count() < 150, "{shown}");
        assert!(
            shown
                .chars()
                .all(|letter| letter == '…' || matches!(letter, ' '..='~')),
            "{shown}"
        );
    }
}
