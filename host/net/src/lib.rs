pub mod descriptors;
pub mod listener;
pub mod network_filter;
pub mod outbound;
pub mod stream;
pub mod tls;
