//! [`Redis`]: the state that nodes share. A room's history is a stream; a script adds a message to it and publishes it
//! to all nodes in one step, so that all receive messages in the stream's order. Each node announces its users to the
//! others every few seconds.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, PubSub};
use redis::{AsyncCommands, Client, Msg, Script};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use websocket_proto::Backoff;

use crate::hub::{HISTORY, Hub, MAX_KEYS, MAX_ROOMS, Outcome, Users, is_permanent};
use crate::messages::{Body, RoomMessage};
use crate::token::{Secret, random_secret};
use crate::{Error, log};

/// A room's history is deleted a day after its last message.
const EXPIRY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every node receives its own announcements more often than this.
const SILENCE: Duration = Duration::from_secs(10);

/// Adds a message to a room's history and publishes it, unless the room remembers the key. The number of histories is
/// limited to that of rooms: one more replaces the history of the room that was silent for longest, so that thousands
/// of invented names cannot fill Redis. (The script deletes keys that are not among its arguments, which a single Redis
/// allows and a cluster does not.)
const SAY: &str = "
local history, keys, rooms = unpack(KEYS)
local channel, body, key, max_messages, max_keys, max_rooms, expiry, is_permanent = unpack(ARGV)
if key ~= '' then
  if redis.call('ZADD', keys, 'NX', redis.call('TIME')[1], key) == 0 then
    return 0
  end
  redis.call('ZREMRANGEBYRANK', keys, 0, -1 - max_keys)
  redis.call('EXPIRE', keys, expiry)
end
local id = redis.call('XADD', history, 'MAXLEN', max_messages, '*', 'body', body)
redis.call('EXPIRE', history, expiry)
redis.call('ZADD', rooms, is_permanent == '1' and 'inf' or id:match('%d+'), history)
while redis.call('ZCARD', rooms) > tonumber(max_rooms) do
  local forgotten = redis.call('ZPOPMIN', rooms)[1]
  redis.call('DEL', forgotten, forgotten .. ':keys')
end
redis.call('PUBLISH', channel, id .. ' ' .. body)
return 1
";

const PRESENCE: &str = "chat:presence";

#[derive(Clone)]
pub(crate) struct Redis {
    client: Client,
    /// For commands; it reconnects by itself.
    commands: ConnectionManager,
    node: Arc<str>,
    secret: watch::Sender<Secret>,
    is_connected: watch::Sender<bool>,
}

/// A node's announcement of its users in a room.
#[derive(Serialize, Deserialize)]
struct Announcement<'p> {
    node: &'p str,
    room: &'p str,
    present: Cow<'p, Users>,
}

impl Redis {
    /// Connects, and proposes `secret` unless the nodes have already agreed on one.
    pub(crate) async fn connect(url: &str, node: &str, secret: watch::Sender<Secret>) -> Result<Self, Error> {
        let client = Client::open(url)?;
        let commands = client.get_connection_manager().await?;
        let redis = Self { client, commands, node: node.into(), secret, is_connected: watch::Sender::new(false) };
        redis.agree_on_secret().await?;
        Ok(redis)
    }

    /// Adopts the secret with which all nodes sign: the first that a node proposed, or, if Redis was emptied, the first
    /// since then.
    pub(crate) async fn agree_on_secret(&self) -> Result<(), Error> {
        let mut commands = self.commands.clone();
        let proposed = *self.secret.borrow();
        let _: bool = commands.set_nx("chat:secret", &proposed).await?;
        let agreed: Vec<u8> = commands.get("chat:secret").await?;
        self.secret.send_replace(agreed.as_slice().try_into()?);
        Ok(())
    }

    pub(crate) async fn say(&self, room: &str, body: &Body) -> Result<Outcome, Error> {
        let (script, history) = (Script::new(SAY), history_key(room));
        let mut call = script.key(&history);
        call.key(format!("{history}:keys")).key("chat:rooms");
        call.arg(channel(room)).arg(serde_json::to_string(body)?).arg(&body.key);
        call.arg(HISTORY).arg(MAX_KEYS).arg(MAX_ROOMS).arg(EXPIRY.as_secs()).arg(is_permanent(room));
        let is_new = call.invoke_async(&mut self.commands.clone()).await?;
        Ok(if is_new { Outcome::Sent } else { Outcome::Duplicate })
    }

    /// A room's history, oldest first.
    pub(crate) async fn history(&self, room: &str) -> Result<Vec<RoomMessage>, Error> {
        let mut range = redis::cmd("XRANGE");
        range.arg(history_key(room)).arg("-").arg("+");
        let entries: Vec<(String, (String, String))> = range.query_async(&mut self.commands.clone()).await?;
        // An entry that another version wrote must not keep users out of the room.
        Ok(entries.iter().filter_map(|(id, (_, body))| parse_message(id, body).ok()).collect())
    }

    /// Announces this node's users in these rooms, in one pipeline: for a hundred rooms, single commands would take a
    /// hundred times longer.
    pub(crate) async fn announce_users(&self, rooms: &[(String, Users)]) -> Result<(), Error> {
        let mut publications = redis::pipe();
        for (room, present) in rooms {
            let presence = Announcement { node: &self.node, room, present: Cow::Borrowed(present) };
            publications.publish(PRESENCE, serde_json::to_string(&presence)?);
        }
        Ok(publications.exec_async(&mut self.commands.clone()).await?)
    }

    /// Whether messages of other nodes reach this one.
    pub(crate) fn is_connected(&self) -> bool {
        *self.is_connected.borrow()
    }

    pub(crate) async fn wait_until_connected(&self) {
        let _ = self.is_connected.subscribe().wait_for(|is_connected| *is_connected).await;
    }

    /// Receives the messages of other nodes, forever.
    pub(crate) async fn listen(self, hub: Arc<Hub>) {
        let mut backoff = Backoff::new(random_secret().unwrap_or_default()).cap(Duration::from_secs(5));
        loop {
            let began = Instant::now();
            let result = self.receive(&hub).await;
            // This node now misses messages. Its clients are disconnected, and accepted again when it receives
            // messages: then the history has everything that they missed.
            self.is_connected.send_replace(false);
            hub.disconnect_all();
            if let Err(error) = result {
                log(format_args!("Redis is lost: {error}"));
            }
            backoff.opened_for(began.elapsed());
            sleep(backoff.next_delay()).await;
        }
    }

    async fn receive(&self, hub: &Hub) -> Result<(), Error> {
        let mut subscription = timeout(SILENCE, self.subscribe()).await??;
        self.is_connected.send_replace(true);
        let mut messages = subscription.on_message();
        // A silently dead connection is noticed because this node's own announcements do not come back.
        while let Some(message) = timeout(SILENCE, messages.next()).await? {
            let _: Option<()> = deliver(&message, hub);
        }
        Err("the subscription has ended".into())
    }

    async fn subscribe(&self) -> Result<PubSub, Error> {
        let mut subscription = self.client.get_async_pubsub().await?;
        subscription.psubscribe(channel("*")).await?;
        subscription.subscribe(PRESENCE).await?;
        // Redis may have been emptied, and another node may have proposed a secret first: then older tokens are
        // invalid, and their users log in again.
        self.agree_on_secret().await?;
        Ok(subscription)
    }
}

/// Passes a message to the hub, if it is valid.
fn deliver(message: &Msg, hub: &Hub) -> Option<()> {
    let payload: String = message.get_payload().ok()?;
    if message.get_channel_name() == PRESENCE {
        let Announcement { node, room, present } = serde_json::from_str(&payload).ok()?;
        hub.update_users(node, room, present.into_owned());
    } else {
        let (id, body) = payload.split_once(' ')?;
        let room = message.get_channel_name().strip_prefix(&channel(""))?;
        hub.receive(room, &parse_message(id, body).ok()?);
    }
    Some(())
}

fn parse_message(id: &str, body: &str) -> Result<RoomMessage, Error> {
    Ok(RoomMessage { id: id.parse()?, body: serde_json::from_str(body)? })
}

/// The stream that is a room's history.
fn history_key(room: &str) -> String {
    format!("chat:history:{room}")
}

/// The channel on which a room's messages are published.
fn channel(room: &str) -> String {
    format!("chat:said:{room}")
}
