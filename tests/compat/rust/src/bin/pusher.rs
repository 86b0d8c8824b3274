//! Runs `pusher`, the stock Pusher server SDK for Rust, for the compatibility tests. It has no batches and no calls for
//! users.

use compat::{Failure, serve, text};
use pusher::{Member, PusherBuilder, QueryParameters};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What a client is made of; it is made for each command.
type Settings = Arc<Mutex<Value>>;

fn query(ask: &Value) -> QueryParameters {
    let mut query = QueryParameters::new();
    if !text(ask, "prefix").is_empty() {
        query.push(("filter_by_prefix".into(), text(ask, "prefix").into()));
    }
    let info: Vec<&str> = ask["info"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !info.is_empty() {
        query.push(("info".into(), info.join(",")));
    }
    query
}

fn channel_of(found: &pusher::Channel) -> Value {
    let mut said = json!({});
    if let Some(occupied) = found.occupied {
        said["occupied"] = json!(occupied);
    }
    if let Some(count) = found.user_count {
        said["user_count"] = json!(count);
    }
    if let Some(count) = found.subscription_count {
        said["subscription_count"] = json!(count);
    }
    said
}

async fn act(settings: Settings, ask: Value) -> Result<Value, Failure> {
    if text(&ask, "do") == "new" {
        *settings.lock().unwrap() = ask;
        return Ok(json!({}));
    }
    let made = settings.lock().unwrap().clone();
    let host = format!("{}:{}", text(&made, "host"), made["port"]);
    let pusher = PusherBuilder::new(text(&made, "app"), text(&made, "key"), text(&made, "secret"))
        .host(&host)
        .finalize();
    let channel = text(&ask, "channel");
    let socket = text(&ask, "socket");
    match text(&ask, "do") {
        "trigger" => {
            let channels: Vec<&str> = ask["channels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let (name, data) = (text(&ask, "name"), &ask["data"]);
            if socket.is_empty() {
                pusher.trigger_multi(&channels, name, data).await?;
            } else {
                pusher.trigger_multi_exclusive(&channels, name, data, socket).await?;
            }
            Ok(json!({}))
        }
        "channels" => {
            let found = pusher.channels_with_options(query(&ask)).await?;
            let channels: HashMap<_, _> = found.channels.iter().map(|(name, one)| (name, channel_of(one))).collect();
            Ok(json!({ "channels": channels }))
        }
        "channel" => Ok(channel_of(&pusher.channel_with_options(channel, query(&ask)).await?)),
        "users" => {
            let found = pusher.channel_users(channel).await?;
            let users: Vec<Value> = found.users.iter().map(|user| json!({ "id": user.id })).collect();
            Ok(json!({ "users": users }))
        }
        "authorize" => authorize(&ask, channel, socket, |member| match member {
            Some(member) => pusher.authenticate_presence_channel(channel, socket, &member).map_err(String::from),
            None => pusher.authenticate_private_channel(channel, socket).map_err(String::from),
        }),
        "webhook" => Ok(
            match pusher.webhook(text(&ask, "key"), text(&ask, "signature"), text(&ask, "body")) {
                Ok(found) => json!({ "valid": true, "events": found.events }),
                Err(_) => json!({ "valid": false, "events": [] }),
            },
        ),
        other => Err(format!("unknown command {other}").into()),
    }
}

fn authorize(
    ask: &Value,
    _channel: &str,
    _socket: &str,
    sign: impl Fn(Option<Member>) -> Result<String, String>,
) -> Result<Value, Failure> {
    let info: Option<HashMap<&str, &str>> = ask["member"]["user_info"]
        .as_object()
        .map(|info| info.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect());
    let member = ask["member"].is_object().then(|| Member {
        user_id: text(&ask["member"], "user_id"),
        user_info: info,
    });
    Ok(serde_json::from_str(&sign(member)?).unwrap_or(Value::Null))
}

#[tokio::main]
async fn main() {
    let settings = Settings::default();
    serve(move |ask| act(settings.clone(), ask)).await;
}
