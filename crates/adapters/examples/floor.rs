//! The floor that `cargo xtask bench` measures against: a reverse proxy of the same HTTP library that reads nothing, one thread, as little as a
//! Rust server and client can do between two sockets.
//!
//! `floor HOST:PORT` prints where it listens.
#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::convert::Infallible;
use std::io::{self, Write as _};

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type Far = Client<HttpConnector, Incoming>;

fn main() -> io::Result<()> {
    let Some(far) = std::env::args().nth(1) else {
        return Err(io::Error::other("usage: floor HOST:PORT"));
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(far))
}

async fn serve(far: String) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("floor listening on http://{}", listener.local_addr()?);
    io::stdout().flush()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Far = Client::builder(TokioExecutor::new()).build(connector);
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let (client, far) = (client.clone(), far.clone());
        let service = hyper::service::service_fn(move |request| {
            let (client, far) = (client.clone(), far.clone());
            async move { Ok::<_, Infallible>(forward(&client, &far, request).await) }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The far side's answer, its body as it comes. One that cannot be asked is an empty 502: nobody measures that.
async fn forward(
    far: &Far,
    address: &str,
    mut request: Request<Incoming>,
) -> Response<http_body_util::Either<Incoming, String>> {
    use http_body_util::Either;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let (Ok(uri), Ok(host)) =
        (format!("http://{address}{path}").parse::<Uri>(), HeaderValue::from_str(address))
    {
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, host);
    }
    if let Ok(response) = far.request(request).await {
        return response.map(Either::Left);
    }
    let mut response = Response::new(Either::Right(String::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
