//! tokio-tungstenite, an echo as its examples have it.

use std::error::Error;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let workers: usize = std::env::var("WORKERS").map_or(Ok(1), |count| count.parse())?;
    let mut runtime = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let _ = serve(stream).await;
            });
        }
    })
}

async fn serve(stream: TcpStream) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    let (mut sink, mut messages) = tokio_tungstenite::accept_async(stream).await?.split();
    while let Some(message) = messages.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            sink.send(message).await?;
        }
    }
    Ok(())
}
