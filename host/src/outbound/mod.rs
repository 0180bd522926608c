//! Outbound connections (in the making).
use crate::contract::{ConnectError, ConnectOptions, Failure, Request, ResponseHead, CloseInfo, Reconnect};
use crate::transport::Stream;
use wsrun_proto::ws::deflate::Agreed;
use std::time::Duration;

pub(crate) struct Outbound;
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) early: Vec<u8>,
    pub(crate) protocol: Option<String>,
    pub(crate) deflate: Option<Agreed>,
    pub(crate) request: Request,
    pub(crate) response: ResponseHead,
}
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    pub(crate) response: Option<ResponseHead>,
}
impl Outbound {
    pub(crate) fn check(&self, _: &ConnectOptions) -> Result<(), ConnectError> {
        Err(ConnectError::Limit)
    }
    pub(crate) fn check_trusted(&self, _: &ConnectOptions) -> Result<(), ConnectError> {
        Err(ConnectError::Limit)
    }
}
pub(crate) async fn open(_: &Outbound, _: &ConnectOptions, _: bool) -> Result<Opened, Failed> {
    std::future::ready(()).await;
    Err(Failed { failure: Failure::Ended, response: None })
}
pub(crate) fn delay(_: &Reconnect, _: u32, _: u32) -> Duration { Duration::ZERO }
pub(crate) fn retries_end(_: &CloseInfo) -> bool { false }
pub(crate) fn retries_failure(_: &Failure) -> bool { false }
#[derive(Clone, Debug, Default)]
pub struct OutboundConfig {
    pub connections_max: usize,
}
