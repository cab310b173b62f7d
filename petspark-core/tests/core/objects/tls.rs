//! S3 over TLS, by an authority that only the settings know.

use std::sync::Arc;

use bytes::Bytes;
use petspark_core::chain;
use petspark_core::config::{Value as _, WebUrl};
use petspark_core::media::objects::{ObjectSettings, ObjectStore};
use petspark_core::testing::TestS3;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::key;
use crate::smtp_sink::certificates;

/// Speaks TLS in front of a server; gives its own address and its authority.
async fn tls_before(server: String) -> (WebUrl, String) {
    let (authority, config) = certificates();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // A client that doesn't believe us hangs up.
                let mut client = acceptor.accept(socket).await?;
                let mut server = TcpStream::connect(server).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (WebUrl::parse(&url).unwrap(), authority)
}

#[tokio::test]
async fn only_the_named_authority_is_believed() {
    let (s3, folder) = (TestS3::start().await, tempfile::tempdir().unwrap());
    let mut settings = s3.settings();
    let (url, authority) = tls_before(settings.endpoint_url.unwrap().as_str().replace("http://", "")).await;
    let pem = folder.path().join("ca.pem");
    settings.endpoint_url = Some(url);
    settings.ca = Some(pem.clone());
    let open = |pem: &str| {
        std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
        ObjectStore::open(&ObjectSettings { s3: Some(settings.clone()), ..s3.objects(folder.path()) })
    };
    let objects = open(&authority).unwrap();
    objects.put(&key("a.jpg"), Bytes::from_static(b"over TLS")).await.unwrap();
    assert_eq!(objects.read(&key("a.jpg"), 100).await.unwrap(), "over TLS");

    let (_, stranger) = tls_before(String::new()).await;
    let refused = open(&stranger).unwrap().check().await.unwrap_err();
    assert!(chain(&refused).contains("certificate"), "{}", chain(&refused));

    let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (pem, problem) in [("", "has no certificate"), (garbage, "no good"), ("-----BEGIN CERTIFICATE-----\n!", "no")] {
        let told = open(pem).unwrap_err();
        assert!(told.starts_with("media.s3.ca: ") && told.contains(problem), "{told}");
    }
    std::fs::remove_file(pem).unwrap();
    let gone = ObjectStore::open(&ObjectSettings { s3: Some(settings.clone()), ..s3.objects(folder.path()) });
    assert!(gone.unwrap_err().contains("can't be read"));
}
