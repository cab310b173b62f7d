//! What is asked past the SDK: its types for these are in crates that have little else of use here, or want more of an
//! answer than a restricted key may see.

use serde::Serialize;
use stripe_client_core::{CustomizableStripeRequest, RequestBuilder, StripeMethod, VERSION};

use super::PAGE;
use super::client::Client;
use crate::billing::remote::{RemoteDispute, RemoteEndpoint, RemoteError, RemotePage};
use crate::clock::Timestamp;

pub(super) async fn account(client: &Client) -> Result<String, RemoteError> {
    let account: Account = RequestBuilder::new(StripeMethod::Get, "/account").customize().send(client).await?;
    Ok(account.id)
}

pub(super) async fn disputes(
    client: &Client,
    since: Timestamp,
    after: Option<String>,
) -> Result<RemotePage<RemoteDispute>, RemoteError> {
    let query = DisputeList { limit: PAGE, created: Since { gte: since.as_seconds() }, starting_after: after };
    let request = RequestBuilder::new(StripeMethod::Get, "/disputes").query(&query);
    let list: ListedDisputes = request.customize().send(client).await?;
    let next = list.data.last().filter(|_| list.has_more).map(|last| last.id.clone());
    Ok(RemotePage { items: list.data.into_iter().map(Into::into).collect(), next })
}

pub(super) fn new_endpoint(url: &str, events: &[&'static str]) -> CustomizableStripeRequest<MadeEndpoint> {
    let form = NewEndpoint { url, enabled_events: events, api_version: VERSION.as_str() };
    RequestBuilder::new(StripeMethod::Post, "/webhook_endpoints").form(&form).customize()
}

pub(super) async fn endpoints(client: &Client) -> Result<Vec<RemoteEndpoint>, RemoteError> {
    let request = RequestBuilder::new(StripeMethod::Get, "/webhook_endpoints").query(&[("limit", "100")]);
    let list: ListedEndpoints = request.customize().send(client).await?;
    Ok(list.data.into_iter().map(Into::into).collect())
}

#[derive(Serialize)]
struct NewEndpoint<'a> {
    url: &'a str,
    enabled_events: &'a [&'static str],
    api_version: &'a str,
}

#[derive(miniserde::Deserialize)]
struct Account {
    id: String,
}

#[derive(Serialize)]
struct DisputeList {
    limit: i64,
    created: Since,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_after: Option<String>,
}

#[derive(Serialize)]
struct Since {
    gte: i64,
}

#[derive(miniserde::Deserialize)]
struct ListedDispute {
    id: String,
    status: String,
    payment_intent: Option<String>,
}

#[derive(miniserde::Deserialize)]
struct ListedDisputes {
    data: Vec<ListedDispute>,
    has_more: bool,
}

impl From<ListedDispute> for RemoteDispute {
    fn from(listed: ListedDispute) -> Self {
        Self { is_lost: listed.status == "lost", id: listed.id, payment: listed.payment_intent }
    }
}

#[derive(miniserde::Deserialize)]
pub(super) struct MadeEndpoint {
    id: String,
    url: String,
    api_version: Option<String>,
    secret: Option<String>,
}

#[derive(miniserde::Deserialize)]
struct ListedEndpoints {
    data: Vec<MadeEndpoint>,
}

impl From<MadeEndpoint> for RemoteEndpoint {
    fn from(made: MadeEndpoint) -> Self {
        Self { id: made.id, url: made.url, api_version: made.api_version, secret: made.secret }
    }
}
