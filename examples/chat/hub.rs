//! [`Hub`]: the rooms of this node, which Redis connects to those of other nodes. It never waits for a client: a
//! [`Member`] that is too slow gets an error.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use websocket_proto::PreparedMessage;

use crate::Error;
use crate::messages::{Body, Id, RoomMessage, ToPage};
use crate::redis::Redis;

/// The rooms that always exist.
const PERMANENT_ROOMS: [&str; 3] = ["lobby", "markets", "rust"];

/// The limit on rooms, these included: at the limit, a new room replaces an empty one.
pub(crate) const MAX_ROOMS: usize = 100;

/// The number of messages that a room keeps.
pub(crate) const HISTORY: usize = 100;

/// The number of message keys that a room remembers: a message that is sent again after more than these may appear
/// twice.
pub(crate) const MAX_KEYS: usize = 1000;

/// The limit on messages that a client has yet to receive from its room.
const MAX_LAG: usize = 256;

/// The limit on names in a list of users.
const MAX_NAMES: usize = 100;

/// The shortest interval between announcements of users, the interval at which they are repeated to other nodes, and
/// the silence after which another node is forgotten.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(200);
const REPEAT_INTERVAL: Duration = Duration::from_secs(4);
const REMOTE_TIMEOUT: Duration = Duration::from_secs(12);

pub(crate) struct Hub {
    /// The name of this process among the nodes.
    node: String,
    rooms: Mutex<Rooms>,
    redis: Option<Redis>,
    prices: watch::Receiver<PreparedMessage>,
    disconnects: watch::Sender<()>,
}

#[derive(Default)]
struct Rooms {
    by_name: BTreeMap<String, Room>,
    /// The latest list of rooms.
    list: watch::Sender<Option<PreparedMessage>>,
    /// The number of members so far, from which the next one gets its number.
    members: u64,
}

struct Room {
    feed: broadcast::Sender<Broadcast>,
    /// The latest list of users. A slow client skips older lists, as with the list of rooms, so that frequent changes
    /// do not get slow readers disconnected.
    user_list: watch::Sender<Option<PreparedMessage>>,
    /// The names of the users on this node, by member number.
    local_users: BTreeMap<u64, String>,
    /// The users on other nodes, by node.
    remote_users: BTreeMap<String, RemoteUsers>,
    /// The messages so far; empty if Redis keeps them.
    history: VecDeque<RoomMessage>,
    /// The keys of these messages and of older ones, in order; empty if Redis keeps them.
    keys: VecDeque<String>,
    last: Id,
    /// Whether a user came or left since the last announcement.
    changed: bool,
}

struct RemoteUsers {
    present: Users,
    received: Instant,
}

/// The users of one node in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Users {
    pub(crate) count: usize,
    pub(crate) names: BTreeSet<String>,
}

/// A message, encoded once for every client in the room.
#[derive(Clone)]
struct Broadcast {
    id: Id,
    message: PreparedMessage,
}

/// # Membership of a room
impl Hub {
    /// Enters a room. Returns the member, the messages so far, and whether some between `last` and these may be
    /// missing. With `last`, only messages after it are returned.
    pub(crate) async fn join(
        self: &Arc<Self>,
        room: &str,
        name: &str,
        last: Option<Id>,
    ) -> Result<(Member, Vec<RoomMessage>, bool), Error> {
        // This order loses nothing: from here on, the member receives new messages. It skips those that are also in the
        // history because they were sent before the history is read.
        let mut member = self.enter(room, name)?;
        let mut messages = match &self.redis {
            Some(redis) => redis.history(room).await?,
            None => {
                self.rooms().by_name.get(room).map(|room| room.history.iter().cloned().collect()).unwrap_or_default()
            }
        };
        member.seen = messages.last().map(|message| message.id);
        let missing = last.is_some_and(|last| !messages.iter().any(|message| message.id == last));
        messages.retain(|message| last.is_none_or(|last| message.id > last));
        Ok((member, messages, missing))
    }

    fn enter(self: &Arc<Self>, name_of_room: &str, name: &str) -> Result<Member, Error> {
        if self.redis.as_ref().is_some_and(|redis| !redis.is_connected()) {
            return Err("the other nodes are out of reach".into());
        }
        let mut rooms = self.rooms();
        rooms.members += 1;
        let number = rooms.members;
        let list = rooms.list.subscribe();
        let room = rooms.room(name_of_room).ok_or("all rooms are taken")?;
        room.local_users.insert(number, name.to_owned());
        room.changed = true;
        let (feed, user_list) = (room.feed.subscribe(), room.user_list.subscribe());
        let (hub, room, name) = (self.clone(), name_of_room.to_owned(), name.to_owned());
        Ok(Member { hub, room, name, number, feed, user_list, list, seen: None })
    }

    /// Sends a message to every user in a room, on any node, unless it was sent before.
    pub(crate) async fn say(&self, room: &str, body: &Body) -> Result<Outcome, Error> {
        if let Some(redis) = &self.redis {
            // Redis sends it back to all nodes, this one included, through `receive`.
            return redis.say(room, body).await;
        }
        let mut rooms = self.rooms();
        let room = rooms.room(room).ok_or("the room is gone")?;
        if !body.key.is_empty() {
            // A repeated message usually comes soon after the first.
            if room.keys.iter().rev().any(|key| *key == body.key) {
                return Ok(Outcome::Duplicate);
            }
            room.keys.push_back(body.key.clone());
            room.keys.drain(..room.keys.len().saturating_sub(MAX_KEYS));
        }
        let message = RoomMessage { id: room.last.next(), body: body.clone() };
        room.broadcast(&message);
        room.history.push_back(message);
        room.history.drain(..room.history.len().saturating_sub(HISTORY));
        Ok(Outcome::Sent)
    }
}

/// The result of sending a message.
pub(crate) enum Outcome {
    Sent,
    /// The room has it already, which the client had not learned.
    Duplicate,
}

/// A client in a room. Dropping it leaves the room.
pub(crate) struct Member {
    hub: Arc<Hub>,
    room: String,
    name: String,
    number: u64,
    feed: broadcast::Receiver<Broadcast>,
    user_list: watch::Receiver<Option<PreparedMessage>>,
    list: watch::Receiver<Option<PreparedMessage>>,
    seen: Option<Id>,
}

/// The room has dropped messages that the client has not received.
pub(crate) struct MissedMessages;

impl Member {
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The next message. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<PreparedMessage, MissedMessages> {
        loop {
            let latest = tokio::select! {
                // Messages first; then users before rooms, in the order of their announcement.
                biased;
                received = self.feed.recv() => match received {
                    Ok(message) if Some(message.id) <= self.seen => continue,
                    Ok(Broadcast { message, .. }) => return Ok(message),
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return Err(MissedMessages),
                },
                Ok(()) = self.user_list.changed() => &mut self.user_list,
                Ok(()) = self.list.changed() => &mut self.list,
            };
            if let Some(message) = latest.borrow_and_update().clone() {
                return Ok(message);
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(room) = self.hub.rooms().by_name.get_mut(&self.room) {
            room.local_users.remove(&self.number);
            room.changed = true;
        }
    }
}

/// # Messages from other nodes
impl Hub {
    /// Broadcasts a message that was sent in a room, on this node or another.
    pub(crate) fn receive(&self, room: &str, message: &RoomMessage) {
        if let Some(room) = self.rooms().by_name.get_mut(room) {
            room.broadcast(message);
        }
    }

    /// Updates the users of a room on another node.
    pub(crate) fn update_users(&self, node: &str, room: &str, present: Users) {
        if node == self.node {
            return;
        }
        let mut rooms = self.rooms();
        if present.count == 0 {
            // An empty room is not created, which might remove another one.
            if let Some(room) = rooms.by_name.get_mut(room) {
                room.changed |= room.remote_users.remove(node).is_some();
            }
        } else if let Some(room) = rooms.room(room) {
            let users = RemoteUsers { present, received: Instant::now() };
            room.changed |= room.remote_users.get(node).is_none_or(|before| before.present != users.present);
            room.remote_users.insert(node.to_owned(), users);
        }
    }

    /// Disconnects all clients. They reconnect, to this node or another, and ask for missed messages.
    pub(crate) fn disconnect_all(&self) {
        self.disconnects.send_replace(());
    }
}

/// # Start and background tasks
impl Hub {
    pub(crate) fn new(node: String, redis: Option<Redis>, prices: watch::Receiver<PreparedMessage>) -> Arc<Self> {
        let mut rooms = Rooms::default();
        for name in PERMANENT_ROOMS {
            rooms.room(name);
        }
        Arc::new(Self { node, rooms: Mutex::new(rooms), redis, prices, disconnects: watch::Sender::new(()) })
    }

    /// Starts the background tasks; returns when the node receives messages of other nodes.
    pub(crate) async fn start(hub: &Arc<Self>) {
        if let Some(redis) = &hub.redis {
            tokio::spawn(redis.clone().listen(hub.clone()));
            redis.wait_until_connected().await;
        }
        tokio::spawn(hub.clone().announce());
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    pub(crate) fn prices(&self) -> watch::Receiver<PreparedMessage> {
        self.prices.clone()
    }

    /// Changes when all clients must be disconnected.
    pub(crate) fn disconnects(&self) -> watch::Receiver<()> {
        self.disconnects.subscribe()
    }

    /// Announces joins and leaves a few times a second, so that a thousand at once are not announced one by one.
    async fn announce(self: Arc<Self>) {
        let mut repeated = Instant::now();
        loop {
            tokio::time::sleep(ANNOUNCE_INTERVAL).await;
            let repeats = repeated.elapsed() >= REPEAT_INTERVAL;
            if repeats {
                repeated = Instant::now();
                self.rooms().remove_silent_nodes();
            }
            let present = self.rooms().announce(repeats);
            let Some(redis) = &self.redis else { continue };
            // If this fails, the next repetition announces them, a few seconds later.
            if !present.is_empty() {
                let _ = redis.announce_users(&present).await;
            }
            if repeats {
                let _ = redis.agree_on_secret().await;
            }
        }
    }

    /// No task awaits anything while it has this lock.
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this room always exists.
pub(crate) fn is_permanent(room: &str) -> bool {
    PERMANENT_ROOMS.contains(&room)
}

impl Rooms {
    /// The room called `name`, created if necessary; `None` if there are too many rooms and none is empty.
    fn room(&mut self, name: &str) -> Option<&mut Room> {
        if !self.by_name.contains_key(name) && self.by_name.len() >= MAX_ROOMS {
            let is_idle = |(name, room): &(&String, &Room)| room.count() == 0 && !is_permanent(name);
            // Prefers a room that was already announced as empty to all nodes.
            let idle = self.by_name.iter().filter(is_idle).min_by_key(|(_, room)| (room.changed, room.last))?.0.clone();
            self.by_name.remove(&idle);
        }
        Some(self.by_name.entry(name.to_owned()).or_insert_with(Room::empty))
    }

    /// Sends the list of users to each room in which it changed, and the list of rooms to everyone if one did. Returns
    /// the users on this node in changed rooms; with `repeats`, also those in permanent and occupied rooms, so that
    /// other nodes learn that this one is alive.
    fn announce(&mut self, repeats: bool) -> Vec<(String, Users)> {
        let (mut has_changed, mut present) = (false, Vec::new());
        for (name, room) in &mut self.by_name {
            let changed = std::mem::take(&mut room.changed);
            if changed {
                room.broadcast_users();
            }
            has_changed |= changed;
            if changed || repeats && (is_permanent(name) || !room.local_users.is_empty()) {
                present.push((name.clone(), room.present()));
            }
        }
        if has_changed {
            let rooms: Vec<_> = self.by_name.iter().map(|(name, room)| (name.as_str(), room.count())).collect();
            self.list.send_replace(Some(PreparedMessage::text(&ToPage::Rooms { rooms: &rooms }.json())));
        }
        present
    }

    /// Forgets nodes that have been silent too long.
    fn remove_silent_nodes(&mut self) {
        for room in self.by_name.values_mut() {
            let before = room.remote_users.len();
            room.remote_users.retain(|_, users| users.received.elapsed() < REMOTE_TIMEOUT);
            room.changed |= room.remote_users.len() < before;
        }
    }
}

impl Room {
    fn empty() -> Self {
        Self {
            feed: broadcast::Sender::new(MAX_LAG),
            user_list: watch::Sender::new(None),
            local_users: BTreeMap::new(),
            remote_users: BTreeMap::new(),
            history: VecDeque::new(),
            keys: VecDeque::new(),
            last: Id::default(),
            changed: true,
        }
    }

    fn broadcast(&mut self, message: &RoomMessage) {
        self.last = message.id;
        let encoded = PreparedMessage::text(&ToPage::Said(message).json());
        // An error means that no client of this node is in the room.
        let _ = self.feed.send(Broadcast { id: message.id, message: encoded });
    }

    fn broadcast_users(&self) {
        let remote_names = self.remote_users.values().flat_map(|users| &users.present.names);
        let names: BTreeSet<_> = self.local_users.values().chain(remote_names).map(String::as_str).collect();
        let names: Vec<_> = names.into_iter().take(MAX_NAMES).collect();
        let message = PreparedMessage::text(&ToPage::Present { count: self.count(), names: &names }.json());
        self.user_list.send_replace(Some(message));
    }

    fn count(&self) -> usize {
        self.local_users.len() + self.remote_users.values().map(|users| users.present.count).sum::<usize>()
    }

    /// The users of this node in this room.
    fn present(&self) -> Users {
        let names: BTreeSet<_> = self.local_users.values().collect();
        Users { count: self.local_users.len(), names: names.into_iter().take(MAX_NAMES).cloned().collect() }
    }
}

impl Id {
    /// A greater id, with the current time.
    fn next(self) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let count = if now > self.milliseconds { 0 } else { self.count + 1 };
        Self { milliseconds: now.max(self.milliseconds), count }
    }
}
