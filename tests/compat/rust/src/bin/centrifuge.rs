//! Runs stock tokio-centrifuge for the compatibility tests. It has neither tokens of subscriptions nor history, presence
//! and recovery; whoever wants those is told by the runner's table that the SDK lacks them.

use compat::{Failure, say, serve, text};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_centrifuge::client::{Client, RequestError};
use tokio_centrifuge::config::{BackoffReconnect, Config};

type Clients = Arc<Mutex<HashMap<String, Client>>>;

fn failure(error: RequestError) -> Failure {
    match error {
        RequestError::ErrorResponse(reply) => Failure {
            code: reply.code,
            message: reply.message,
        },
        other => Failure {
            code: 0,
            message: other.to_string(),
        },
    }
}

fn json_of(data: &[u8]) -> Value {
    serde_json::from_slice(data).unwrap_or(Value::Null)
}

/// Says events of one client.
fn teller(name: &str) -> impl Fn(&str, Value) + Clone + Send + 'static {
    let name = name.to_string();
    move |event, mut said| {
        said["client"] = json!(name);
        said["event"] = json!(event);
        say(said);
    }
}

fn create(ask: &Value) -> Client {
    let mut config = Config::new()
        .with_token(text(ask, "token"))
        .with_reconnect_strategy(BackoffReconnect {
            factor: 2.0,
            min_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(1),
        });
    if !text(ask, "name").is_empty() {
        config = config.with_name(text(ask, "name"));
    }
    config = if text(ask, "protocol") == "protobuf" {
        config.use_protobuf()
    } else {
        config.use_json()
    };
    // The SDK asks for no subprotocol.
    let format = text(ask, "protocol");
    let client = Client::new(&format!("{}?format={format}", text(ask, "url")), config);
    let tell = teller(text(ask, "client"));
    let told = tell.clone();
    client.on_connecting(move |event| told("connecting", json!({ "code": event.code, "reason": event.reason })));
    let told = tell.clone();
    client.on_connected(move |event| told("connected", json!({ "id": event.client_id })));
    let told = tell.clone();
    client.on_disconnected(move |event| told("disconnected", json!({ "code": event.code, "reason": event.reason })));
    client.on_error(move |error| tell("error", json!({ "message": error.to_string() })));
    client
}

fn subscribe(client: &Client, ask: &Value) {
    let channel = text(ask, "channel").to_string();
    if let Some(there) = client.get_subscription(&channel) {
        drop(there.subscribe());
        return;
    }
    let subscription = client.new_subscription(&channel);
    let tell = teller(text(ask, "client"));
    let of = move |mut said: Value| {
        said["channel"] = json!(channel);
        said
    };
    let (told, whose) = (tell.clone(), of.clone());
    subscription.on_subscribing(move |event| {
        told("subscribing", whose(json!({ "code": event.code, "reason": event.reason })))
    });
    let (told, whose) = (tell.clone(), of.clone());
    subscription.on_subscribed(move |_| told("subscribed", whose(json!({}))));
    let (told, whose) = (tell.clone(), of.clone());
    subscription.on_unsubscribed(move |event| {
        told("unsubscribed", whose(json!({ "code": event.code, "reason": event.reason })))
    });
    let (told, whose) = (tell.clone(), of.clone());
    subscription.on_publication(move |publication| {
        let mut said = json!({
            "data": json_of(&publication.data),
            "offset": publication.offset,
            "tags": publication.tags,
        });
        if let Some(info) = &publication.info {
            said["user"] = json!(info.user);
        }
        told("publication", whose(said))
    });
    subscription.on_error(move |error| tell("subscriptionError", of(json!({ "message": error.to_string() }))));
    drop(subscription.subscribe());
}

async fn act(clients: Clients, ask: Value) -> Result<Value, Failure> {
    let name = text(&ask, "client").to_string();
    if text(&ask, "do") == "new" {
        let client = create(&ask);
        clients.lock().unwrap().insert(name, client);
        return Ok(json!({}));
    }
    let client = clients.lock().unwrap().get(&name).cloned();
    let Some(client) = client else {
        return Err(format!("no client {name}").into());
    };
    let channel = text(&ask, "channel");
    let data = ask["data"].to_string().into_bytes();
    match text(&ask, "do") {
        "connect" => {
            tokio::spawn(async move {
                // A refused client gets no event, only this answer.
                if client.connect().await.is_err() {
                    teller(&name)("disconnected", json!({ "code": 0 }));
                }
            });
        }
        "disconnect" => drop(client.disconnect()),
        "subscribe" => subscribe(&client, &ask),
        "unsubscribe" => {
            if let Some(there) = client.get_subscription(channel) {
                drop(there.unsubscribe());
            }
        }
        "publish" => client.publish(channel, data).await.map_err(failure)?,
        "rpc" => {
            let found = client.rpc(text(&ask, "method"), data).await.map_err(failure)?;
            return Ok(json!({ "data": json_of(&found) }));
        }
        other => return Err(format!("unknown command {other}").into()),
    }
    Ok(json!({}))
}

#[tokio::main]
async fn main() {
    let clients = Clients::default();
    serve(move |ask| act(clients.clone(), ask)).await;
}
