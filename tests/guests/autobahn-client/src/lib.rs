//! Runs the cases of the Autobahn testsuite's fuzzing server, one after the other:
//! `wsrun connect autobahn_client.wasm ws://HOST:PORT/getCaseCount [--config agent=NAME] [--config cases=FIRST-LAST]`.

use serde::{Deserialize, Serialize};
use wsrun_guest::client::Options;
use wsrun_guest::{CloseInfo, Connection, Handler, Message, Request, handler, host};

const AGENT_DEFAULT: &str = "wsrun-handler";

/// How far the suite is: the session data of a connection. The one that the command makes has none until it is told the count.
#[derive(Serialize, Deserialize)]
struct Progress {
    /// Scheme and authority of its URL.
    server: String,
    /// The case that the connection is for: the one before the first for the count, one more than the last for the report.
    case: u32,
    last: u32,
}

#[derive(Default)]
struct AutobahnClient;

#[handler]
impl Handler for AutobahnClient {
    fn received(&mut self, connection: Connection, message: Message) {
        if let Ok(Progress { case, .. }) = connection.session() {
            // How a case ends is for the server to judge; that it does not get a message back is explained.
            if let Err(error) = connection.send(&message) {
                eprintln!("case {case}: {error}");
            }
            return;
        }
        let count = message.as_text().and_then(|text| text.parse().ok());
        let count = count.expect("the server tells the number of its cases");
        let (first, last) = match host::config("cases") {
            Some(cases) => range(&cases, count)
                .unwrap_or_else(|| panic!("not FIRST-LAST within 1-{count}: {cases:?}")),
            None => (1, count),
        };
        let request = connection.request();
        let progress = Progress {
            server: server(&request.expect("an open connection has a request")),
            case: first - 1,
            last,
        };
        connection
            .set_session(&progress)
            .expect("the connection is open, and the data small");
    }

    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        if let Some(failure) = connection.failure() {
            eprintln!("{failure} {}", info.reason);
        }
        match connection.session::<Progress>() {
            Ok(progress) if progress.case <= progress.last => next(progress),
            Ok(progress) => println!("ran up to case {}", progress.last),
            Err(error) => eprintln!("the number of cases is not known: {error}"),
        }
    }
}

fn server(request: &Request) -> String {
    let scheme = if request.secure { "wss" } else { "ws" };
    let host = request.host.as_deref();
    format!("{scheme}://{}", host.expect("a request has a host"))
}

/// `FIRST-LAST`, both of `count` cases that are counted from 1.
fn range(cases: &str, count: u32) -> Option<(u32, u32)> {
    let (first, last) = cases.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (1 <= first && first <= last && last <= count).then_some((first, last))
}

fn next(mut progress: Progress) {
    progress.case += 1;
    let Progress { server, case, last } = &progress;
    let agent = host::config("agent").unwrap_or_else(|| AGENT_DEFAULT.to_owned());
    let url = if case <= last {
        format!("{server}/runCase?case={case}&agent={agent}")
    } else {
        format!("{server}/updateReports?agent={agent}")
    };
    if let Err(error) = Options::new(url).session(&progress).connect() {
        eprintln!("case {case}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_within_the_count() {
        assert_eq!(range("1-517", 517), Some((1, 517)));
        assert_eq!(range("7-7", 517), Some((7, 7)));
        assert_eq!(range("0-7", 517), None);
        assert_eq!(range("8-7", 517), None);
        assert_eq!(range("1-518", 517), None);
        assert_eq!(range("1", 517), None);
    }
}
