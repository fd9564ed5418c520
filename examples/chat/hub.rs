//! [`Hub`]: the rooms of this node, and the way to other nodes. It never waits for a client: a client that falls too
//! far behind its room gets an error from its [`Seat`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use websocket_proto::PreparedMessage;

use crate::Error;
use crate::messages::{Body, Id, Said, ToPage};
use crate::redis::Redis;

/// The rooms that always exist.
const ROOMS: [&str; 3] = ["lobby", "markets", "rust"];

/// The limit on rooms, these included: a new room then replaces an empty one.
pub(crate) const MAX_ROOMS: usize = 100;

/// The number of messages that a room keeps.
pub(crate) const HISTORY: usize = 100;

/// The number of message keys that a room remembers: a message sent again after more than these may appear twice.
pub(crate) const MAX_KEYS: usize = 1000;

/// The number of messages that a reader may fall behind its room.
const MAX_BEHIND: usize = 256;

/// The most names that are sent of the users in a room.
const MAX_NAMES: usize = 100;

/// The shortest interval between announcements of users, the interval at which they are repeated to other nodes, and
/// the silence after which another node is forgotten.
const ANNOUNCING: Duration = Duration::from_millis(200);
const REPEATING: Duration = Duration::from_secs(4);
const FORGETTING: Duration = Duration::from_secs(12);

pub(crate) struct Hub {
    /// The name of this process among the nodes.
    node: String,
    rooms: Mutex<Rooms>,
    redis: Option<Redis>,
    prices: watch::Receiver<PreparedMessage>,
    leaving: watch::Sender<()>,
}

#[derive(Default)]
struct Rooms {
    by_name: BTreeMap<String, Room>,
    /// The latest list of rooms.
    list: watch::Sender<Option<PreparedMessage>>,
    /// The number of seats so far, from which the next one gets its number.
    seats: u64,
}

struct Room {
    feed: broadcast::Sender<Told>,
    /// The latest list of users. A slow client skips older lists, as with the list of rooms, so that users who come and
    /// go all the time cannot drive out slow readers.
    people: watch::Sender<Option<PreparedMessage>>,
    /// The names of the users on this node, by seat.
    here: BTreeMap<u64, String>,
    /// The users on other nodes, by node.
    elsewhere: BTreeMap<String, Elsewhere>,
    /// The messages so far; empty if Redis keeps them.
    history: VecDeque<Said>,
    /// The keys of these messages and of older ones, in order; empty if Redis keeps them.
    keys: VecDeque<String>,
    last: Id,
    /// Whether a user came or left since the last announcement.
    changed: bool,
}

struct Elsewhere {
    present: Present,
    heard: Instant,
}

/// The users in a room through one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Present {
    pub(crate) count: usize,
    pub(crate) names: BTreeSet<String>,
}

/// A message, encoded once for every client in the room.
#[derive(Clone)]
struct Told {
    id: Id,
    message: PreparedMessage,
}

/// # Being in a room
impl Hub {
    /// Enters a room. Returns the seat, the messages so far, and whether some between `last` and these may be missing.
    /// With `last`, only messages after it are returned.
    pub(crate) async fn join(
        self: &Arc<Self>,
        room: &str,
        name: &str,
        last: Option<Id>,
    ) -> Result<(Seat, Vec<Said>, bool), Error> {
        // This order loses nothing: from here on, new messages arrive through the seat. A message sent before the
        // history is read arrives both ways, and the seat skips it.
        let mut seat = self.sit(room, name)?;
        let mut messages = match &self.redis {
            Some(redis) => redis.history(room).await?,
            None => {
                self.rooms().by_name.get(room).map(|room| room.history.iter().cloned().collect()).unwrap_or_default()
            }
        };
        seat.seen = messages.last().map(|said| said.id);
        let missing = last.is_some_and(|last| !messages.iter().any(|said| said.id == last));
        messages.retain(|said| last.is_none_or(|last| said.id > last));
        Ok((seat, messages, missing))
    }

    fn sit(self: &Arc<Self>, name_of_room: &str, name: &str) -> Result<Seat, Error> {
        if self.redis.as_ref().is_some_and(|redis| !redis.is_heard()) {
            return Err("the other nodes are out of reach".into());
        }
        let mut rooms = self.rooms();
        rooms.seats += 1;
        let number = rooms.seats;
        let list = rooms.list.subscribe();
        let room = rooms.room(name_of_room).ok_or("all rooms are taken")?;
        room.here.insert(number, name.to_owned());
        room.changed = true;
        let (feed, people) = (room.feed.subscribe(), room.people.subscribe());
        let (hub, room, name) = (self.clone(), name_of_room.to_owned(), name.to_owned());
        Ok(Seat { hub, room, name, number, feed, people, list, seen: None })
    }

    /// Sends a message to every user in a room, on any node, unless it was sent before.
    pub(crate) async fn say(&self, room: &str, body: &Body) -> Result<Outcome, Error> {
        if let Some(redis) = &self.redis {
            // Redis sends it back to all nodes, this one included, through `hear`.
            return redis.say(room, body).await;
        }
        let mut rooms = self.rooms();
        let room = rooms.room(room).ok_or("the room is gone")?;
        if !body.key.is_empty() {
            // A repeated message usually comes soon after the first.
            if room.keys.iter().rev().any(|key| *key == body.key) {
                return Ok(Outcome::Known);
            }
            room.keys.push_back(body.key.clone());
            room.keys.drain(..room.keys.len().saturating_sub(MAX_KEYS));
        }
        let said = Said { id: room.last.next(), body: body.clone() };
        room.tell(&said);
        room.history.push_back(said);
        room.history.drain(..room.history.len().saturating_sub(HISTORY));
        Ok(Outcome::Said)
    }
}

/// The result of sending a message.
pub(crate) enum Outcome {
    Said,
    /// It was sent before; the client had not learned that.
    Known,
}

/// A place in a room. Dropping it leaves the room.
pub(crate) struct Seat {
    hub: Arc<Hub>,
    room: String,
    name: String,
    number: u64,
    feed: broadcast::Receiver<Told>,
    people: watch::Receiver<Option<PreparedMessage>>,
    list: watch::Receiver<Option<PreparedMessage>>,
    seen: Option<Id>,
}

/// The client has fallen further behind than the room keeps messages.
pub(crate) struct Unheard;

impl Seat {
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The next message. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<PreparedMessage, Unheard> {
        loop {
            let latest = tokio::select! {
                // Messages first; then users before rooms, in the order of their announcement.
                biased;
                told = self.feed.recv() => match told {
                    Ok(told) if Some(told.id) <= self.seen => continue,
                    Ok(told) => return Ok(told.message),
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return Err(Unheard),
                },
                Ok(()) = self.people.changed() => &mut self.people,
                Ok(()) = self.list.changed() => &mut self.list,
            };
            if let Some(message) = latest.borrow_and_update().clone() {
                return Ok(message);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(room) = self.hub.rooms().by_name.get_mut(&self.room) {
            room.here.remove(&self.number);
            room.changed = true;
        }
    }
}

/// # Messages from other nodes
impl Hub {
    /// Broadcasts a message that was sent in a room, on this node or another.
    pub(crate) fn hear(&self, room: &str, said: &Said) {
        if let Some(room) = self.rooms().by_name.get_mut(room) {
            room.tell(said);
        }
    }

    /// Updates the users of a room on another node.
    pub(crate) fn hear_presence(&self, node: &str, room: &str, present: Present) {
        if node == self.node {
            return;
        }
        let mut rooms = self.rooms();
        if present.count == 0 {
            // An empty room is not created, which might remove another one.
            if let Some(room) = rooms.by_name.get_mut(room) {
                room.changed |= room.elsewhere.remove(node).is_some();
            }
        } else if let Some(room) = rooms.room(room) {
            let elsewhere = Elsewhere { present, heard: Instant::now() };
            room.changed |= room.elsewhere.get(node).is_none_or(|before| before.present != elsewhere.present);
            room.elsewhere.insert(node.to_owned(), elsewhere);
        }
    }

    /// Disconnects all clients; they reconnect, to this node or another, and ask for missed messages.
    pub(crate) fn send_away(&self) {
        self.leaving.send_replace(());
    }
}

/// # Start and background tasks
impl Hub {
    pub(crate) fn new(node: String, redis: Option<Redis>, prices: watch::Receiver<PreparedMessage>) -> Arc<Self> {
        let mut rooms = Rooms::default();
        for name in ROOMS {
            rooms.room(name);
        }
        Arc::new(Self { node, rooms: Mutex::new(rooms), redis, prices, leaving: watch::Sender::new(()) })
    }

    /// Starts the background tasks; returns when the node receives messages of other nodes.
    pub(crate) async fn start(hub: &Arc<Self>) {
        if let Some(redis) = &hub.redis {
            tokio::spawn(redis.clone().listen(hub.clone()));
            redis.wait_until_heard().await;
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
    pub(crate) fn leaving(&self) -> watch::Receiver<()> {
        self.leaving.subscribe()
    }

    /// Announces users who come and go, a few times a second: if a thousand come at once, they are not announced to
    /// each other one by one.
    async fn announce(self: Arc<Self>) {
        let mut repeated = Instant::now();
        loop {
            tokio::time::sleep(ANNOUNCING).await;
            let repeats = repeated.elapsed() >= REPEATING;
            if repeats {
                repeated = Instant::now();
                self.rooms().forget();
            }
            let present = self.rooms().announce(repeats);
            let Some(redis) = &self.redis else { continue };
            // If this fails, the next repetition announces them, a few seconds later.
            if !present.is_empty() {
                let _ = redis.tell_presence(&present).await;
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
pub(crate) fn is_lasting(room: &str) -> bool {
    ROOMS.contains(&room)
}

impl Rooms {
    /// The room called `name`, created if necessary; `None` if there are too many rooms and none is empty.
    fn room(&mut self, name: &str) -> Option<&mut Room> {
        if !self.by_name.contains_key(name) && self.by_name.len() >= MAX_ROOMS {
            let is_idle = |(name, room): &(&String, &Room)| room.count() == 0 && !is_lasting(name);
            // Prefers a room that was already announced as empty to all nodes.
            let idle = self.by_name.iter().filter(is_idle).min_by_key(|(_, room)| (room.changed, room.last))?.0.clone();
            self.by_name.remove(&idle);
        }
        Some(self.by_name.entry(name.to_owned()).or_insert_with(Room::empty))
    }

    /// Sends the list of users to each room in which it changed, and the list of rooms to everyone if one did. Returns
    /// the users on this node in changed rooms; with `repeats`, also those in lasting and occupied rooms, so that other
    /// nodes learn that this one is alive.
    fn announce(&mut self, repeats: bool) -> Vec<(String, Present)> {
        let (mut has_changed, mut present) = (false, Vec::new());
        for (name, room) in &mut self.by_name {
            let changed = std::mem::take(&mut room.changed);
            if changed {
                room.tell_presence();
            }
            has_changed |= changed;
            if changed || repeats && (is_lasting(name) || !room.here.is_empty()) {
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
    fn forget(&mut self) {
        for room in self.by_name.values_mut() {
            let before = room.elsewhere.len();
            room.elsewhere.retain(|_, elsewhere| elsewhere.heard.elapsed() < FORGETTING);
            room.changed |= room.elsewhere.len() < before;
        }
    }
}

impl Room {
    fn empty() -> Self {
        Self {
            feed: broadcast::Sender::new(MAX_BEHIND),
            people: watch::Sender::new(None),
            here: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            history: VecDeque::new(),
            keys: VecDeque::new(),
            last: Id::default(),
            changed: true,
        }
    }

    fn tell(&mut self, said: &Said) {
        self.last = said.id;
        let message = PreparedMessage::text(&ToPage::Said(said).json());
        // An error means that no client of this node is in the room.
        let _ = self.feed.send(Told { id: said.id, message });
    }

    fn tell_presence(&self) {
        let elsewhere = self.elsewhere.values().flat_map(|elsewhere| &elsewhere.present.names);
        let names: BTreeSet<_> = self.here.values().chain(elsewhere).map(String::as_str).collect();
        let names: Vec<_> = names.into_iter().take(MAX_NAMES).collect();
        let message = PreparedMessage::text(&ToPage::Present { count: self.count(), names: &names }.json());
        self.people.send_replace(Some(message));
    }

    fn count(&self) -> usize {
        self.here.len() + self.elsewhere.values().map(|elsewhere| elsewhere.present.count).sum::<usize>()
    }

    /// The users in this room through this node.
    fn present(&self) -> Present {
        let names: BTreeSet<_> = self.here.values().collect();
        Present { count: self.here.len(), names: names.into_iter().take(MAX_NAMES).cloned().collect() }
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
