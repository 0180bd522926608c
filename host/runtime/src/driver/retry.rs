//! The ends after which a connection of the client role is made again.

use wsrun_contract::{CloseInfo, ClosedBy};

/// Returns true when a connection with this end is made again.
pub(super) fn retries_end(info: &CloseInfo) -> bool {
    match (info.by, info.code) {
        (ClosedBy::Handler, _) => false,
        // The transport was lost, or a time limit was reached. A callback that failed (1011) would
        // fail again.
        (ClosedBy::Host, code) => code == 1006,
        // The peer goes away, restarts, is overloaded or broken. 1005 gives no reason to stay away.
        (ClosedBy::Peer, code) => matches!(code, 1001 | 1005 | 1006 | 1011..=1014),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_another_attempt_may_mend_are_retried() {
        let retried = |by| -> Vec<u16> {
            let info = |code| CloseInfo {
                code,
                reason: String::new(),
                by,
                clean: false,
            };
            (1000..5000)
                .filter(|code| retries_end(&info(*code)))
                .collect()
        };
        let by_peer = [1001, 1005, 1006, 1011, 1012, 1013, 1014];
        assert_eq!(retried(ClosedBy::Peer), by_peer);
        assert_eq!(retried(ClosedBy::Host), [1006]);
        assert!(retried(ClosedBy::Handler).is_empty());
    }
}
