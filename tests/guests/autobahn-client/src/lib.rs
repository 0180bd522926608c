//! Runs the cases of the Autobahn testsuite's fuzzing server, one after the other:
//! `wsrun connect autobahn_client.wasm ws://HOST:PORT/getCaseCount`.

use serde::{Deserialize, Serialize};
use wsrun_guest::client::Options;
use wsrun_guest::{CloseInfo, Connection, Handler, Message, Request, handler};

const AGENT: &str = "wsrun-handler";

/// How far the suite is: the session data of a connection. The one that the command makes has none until it is told the count.
#[derive(Serialize, Deserialize)]
struct Progress {
    /// Scheme and authority of its URL.
    server: String,
    /// The case that the connection is for: 0 for the count, one more than there are for the report.
    case: u32,
    cases: u32,
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
        let cases = message.as_text().and_then(|text| text.parse().ok());
        let request = connection.request();
        let progress = Progress {
            server: server(&request.expect("an open connection has a request")),
            case: 0,
            cases: cases.expect("the server tells the number of its cases"),
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
            Ok(progress) if progress.case <= progress.cases => next(progress),
            Ok(progress) => println!("{} cases were run", progress.cases),
            Err(error) => eprintln!("the number of cases is not known: {error}"),
        }
    }
}

fn server(request: &Request) -> String {
    let scheme = if request.secure { "wss" } else { "ws" };
    let host = request.host.as_deref();
    format!("{scheme}://{}", host.expect("a request has a host"))
}

fn next(mut progress: Progress) {
    progress.case += 1;
    let Progress {
        server,
        case,
        cases,
    } = &progress;
    let url = if case <= cases {
        format!("{server}/runCase?case={case}&agent={AGENT}")
    } else {
        format!("{server}/updateReports?agent={AGENT}")
    };
    if let Err(error) = Options::new(url).session(&progress).connect() {
        eprintln!("case {case}: {error}");
    }
}
