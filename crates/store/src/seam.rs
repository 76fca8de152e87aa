//! The narrow trait, and the records that cross it.

use async_trait::async_trait;
use cards::{CardKey, CardRef, CardRole, CardmemberId, Expiry, ProgrammeId, Psn, SealedPan, Timestamp};

/// The store can't do its work: for the operator. Nothing of the failed call is in effect, except where the
/// connection was lost, or the disk failed, at the commit itself; then the same call may be repeated.
///
/// Also the answer to a call that asks for what can't be: a cardmember that isn't there, an effect without an audit
/// record. Later calls are unharmed, unless a sync failed: from then on every call ends so until the store is opened
/// again, because nobody knows what is on the disk.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store can't answer: {0}")]
pub struct StoreFault(pub String);

/// One card as stored. `state` and `mac` are opaque here: the HSM authenticates them, the store keeps them whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardRecord {
    pub key: CardKey,
    pub pan: SealedPan,
    pub psn: Psn,
    /// Last four digits of the PAN, as shown to people.
    pub last_four: String,
    pub expiry: Expiry,
    pub programme: ProgrammeId,
    pub cardmember: CardmemberId,
    pub role: CardRole,
    /// Counts the writes of `state`; equal to the version inside it.
    pub version: u64,
    pub state: Vec<u8>,
    pub mac: [u8; 16],
}

/// A card's next state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewState {
    /// One more than the commit's `expected_version`.
    pub version: u64,
    pub state: Vec<u8>,
    pub mac: [u8; 16],
}

/// The whole effect of one act on one card: all of it becomes durable, or none of it (I5).
///
/// Takes effect only while the card's version is still `expected_version` (I1), the message is new (I4) and the
/// step-up is unspent (I8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub card: CardRef,
    pub expected_version: u64,
    /// `None`: the act leaves the card's state as it is (a match with full tries), only the journal grows.
    pub new_state: Option<NewState>,
    pub message: Option<MessageRecord>,
    /// Answer to be recorded for a message that was taken back: its own is replaced, whether it has arrived or still
    /// comes (a reversal that overtook its original).
    pub tombstone: Option<MessageRecord>,
    pub step_up: Option<StepUpSpend>,
    /// At least one: every effect has its record (I11).
    pub audit: Vec<AuditEvent>,
    pub attempts: Vec<AttemptWrite>,
    pub notices: Vec<NewNotice>,
}

/// How one commit of a batch ended. Items of a batch are applied in order, each on top of those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Durable. `audit` is the sequence number of its last audit record.
    Done { audit: u64 },
    /// The card has moved on, or isn't there: the decision must be thrown away and made anew.
    VersionConflict,
    /// The message was answered before; nothing was written. Told before any other reason, because the first arrival
    /// may itself have moved the card on and spent the step-up.
    Duplicate(MessageRecord),
    /// The step-up is missing, spent, too old, or for something else; nothing was written.
    StepUpMissing,
}

/// New plastic for a card: all of it becomes durable, or none of it.
///
/// Where `new` stands in the row `old` it is the same number: PSN, expiry, state and MAC are replaced and everything else
/// stays as it was; `new.version` is one up and there is no `old_state`. Otherwise `new` is inserted at whatever version it
/// has and `old` gets `old_state`, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reissue {
    pub old: CardRef,
    /// Takes effect only while the card is still at this version.
    pub expected_version: u64,
    pub new: CardRecord,
    pub old_state: Option<NewState>,
    /// How attempts that were under way to the old plastic end.
    pub attempts: Vec<AttemptWrite>,
    /// At least one.
    pub audit: Vec<AuditEvent>,
}

/// How a reissue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReissueOutcome {
    Done,
    /// The card has moved on, or isn't there; nothing was written.
    VersionConflict,
    /// The new number is a card's already, or, once in 2^64, leads to the row of another; nothing was written.
    NumberTaken,
}

/// A network message that was answered, so that its repeat gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// Five bytes of transmission time (MMDDhhmmss) and three of trace number, BCD, then eight bytes of hash over what
    /// else identifies the message: nearly sequential, so that few pages change with each transaction.
    pub identity: [u8; 16],
    /// Hash of the message's content: a repeat with other content is refused by the issuer's act.
    pub content: [u8; 32],
    /// The issuer's own encoding of its answer.
    pub answer: Vec<u8>,
}

/// A step-up to spend with a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUpSpend {
    pub session: [u8; 32],
    pub card: CardRef,
    /// Stable name of the operation that it was granted for (`view_pin`).
    pub operation: &'static str,
    /// Grants before this moment are too old.
    pub not_before: Timestamp,
}

/// What happened, for the audit chain. No PIN, PIN block or full PAN ever enters one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    pub at: Timestamp,
    /// Stable name of the kind of event (`pin_changed`).
    pub kind: &'static str,
    pub card: Option<CardRef>,
    /// Who acted: `cardmember:12`, `link:acquirer-1`, `operator:root`, `chip`.
    pub actor: String,
    /// One JSON object with the particulars.
    pub detail: String,
}

/// One link of the audit chain as stored.
///
/// `hash = SHA-256(previous hash ‖ sequence (8, big-endian) ‖ at (8) ‖ kind ‖ card ‖ actor ‖ detail)`, texts each
/// preceded by their length in 4 bytes (big-endian), the card as one byte 0 for none, or one byte 1 and 8 bytes
/// (big-endian). Sequence numbers have no gaps and start at 1;
/// the hash before the first is 32 zero bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    pub sequence: u64,
    pub at: Timestamp,
    pub kind: String,
    pub card: Option<CardRef>,
    pub actor: String,
    pub detail: String,
    pub hash: [u8; 32],
}

/// A head of the audit chain, authenticated by the HSM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditAnchor {
    pub sequence: u64,
    pub hash: [u8; 32],
    pub mac: [u8; 16],
    pub at: Timestamp,
}

/// A write to the list of script attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptWrite {
    /// A script goes out with this commit's answer. The attempt's number is new on this card.
    Sent {
        attempt: u32,
        kind: &'static str,
        version: u32,
        atc: u16,
        at: Timestamp,
    },
    /// Evidence came in for an attempt. Later evidence replaces earlier, but `applied` and `failed` are final: then,
    /// and for an attempt that was never sent, nothing is written here and the commit goes on.
    Resolved {
        attempt: u32,
        outcome: &'static str,
        evidence: String,
        at: Timestamp,
    },
}

/// A script attempt as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub attempt: u32,
    pub kind: String,
    pub version: u32,
    pub atc: u16,
    pub sent_at: Timestamp,
    /// `sent`, `applied`, `failed`, `not_applied`, `reported`, `unknown`, `plastic_gone`.
    pub outcome: String,
    /// What the outcome rests on, as text (`CVR 03A4B810 in the ARQC with ATC 0006`).
    pub evidence: String,
    pub resolved_at: Option<Timestamp>,
}

/// A notice to be mailed, written with the change that it tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// Stable name (`new_pin_set`, `chip_has_new_pin`).
    pub kind: &'static str,
    pub cardmember: CardmemberId,
    pub last_four: String,
    pub at: Timestamp,
    /// One JSON object with what the text needs (cause, channel). Nothing secret.
    pub detail: String,
}

/// A notice that is due, with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueNotice {
    pub id: i64,
    /// The same at every try: `<notice-` and 32 random hex digits and `@pinward>`, brackets included. `pinward` isn't
    /// a domain that resolves.
    pub message_id: String,
    pub kind: String,
    pub name: String,
    pub email: String,
    pub last_four: String,
    pub at: Timestamp,
    pub detail: String,
    /// How often it was leased before: a try that ended without a word counts too.
    pub tries: u32,
}

/// What is owed to a link's upstream, as it is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOwed {
    /// Name of the link.
    pub link: String,
    /// Since when it is owed.
    pub at: Timestamp,
    /// The message, sealed by the HSM: opaque here.
    pub sealed: Vec<u8>,
}

/// What is owed to a link's upstream, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedMessage {
    /// Never given twice.
    pub id: i64,
    pub at: Timestamp,
    pub sealed: Vec<u8>,
}

/// How much is owed to a link's upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedCount {
    pub link: String,
    /// At least one.
    pub messages: u64,
    /// Since when the oldest is owed.
    pub oldest: Timestamp,
}

/// A cardmember as imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCardmember {
    /// The issuer's own reference, unique.
    pub reference: String,
    pub name: String,
    pub email: String,
    /// What they sign in with; unique. `None` until they register.
    pub user_id: Option<String>,
}

/// A cardmember as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardmemberRecord {
    pub id: CardmemberId,
    pub reference: String,
    pub name: String,
    pub email: String,
    pub user_id: Option<String>,
    /// Argon2id in PHC format.
    pub password_hash: Option<String>,
    /// The HSM's, of the hash and whose it is; opaque here.
    pub password_mac: Option<[u8; 16]>,
}

/// What an import did. When `refused` isn't empty, nothing was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub inserted: u64,
    /// Already there with the same content: left untouched.
    pub unchanged: u64,
    /// Every column of a row that is wrong.
    pub refused: Vec<RefusedRow>,
}

/// Why a row of an import is refused: its index in the batch, column and reason.
pub type RefusedRow = (usize, &'static str, String);

/// A signed-in session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// SHA-256 of the token in the cookie.
    pub token_hash: [u8; 32],
    pub cardmember: CardmemberId,
    pub opened_at: Timestamp,
    /// Last use; idle time counts from here.
    pub seen_at: Timestamp,
    /// The HSM's, of all but `seen_at`; opaque here.
    pub mac: [u8; 16],
}

/// A step-up to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUpGrant {
    pub session: [u8; 32],
    /// Hash of the token that the session has from now on.
    pub renewed: [u8; 32],
    /// The session's MAC under that token.
    pub renewed_mac: [u8; 16],
    pub card: CardRef,
    /// As in [`StepUpSpend`].
    pub operation: &'static str,
    /// The HSM's, of the grant; opaque here.
    pub mac: [u8; 16],
}

/// An unspent step-up as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUpRecord {
    pub granted_at: Timestamp,
    /// As in [`StepUpGrant`].
    pub mac: [u8; 16],
}

/// Whether a password may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInCharge {
    /// One try was charged; look at the password, then report a success.
    Charged,
    /// Too many failures: not before this moment.
    LockedUntil(Timestamp),
}

/// What Pinward remembers. One implementation per database; the same conformance tests run against each.
#[async_trait]
pub trait Store: Send + Sync {
    /// Cards by key, in order; `None` where there is none. Never from a replica.
    async fn cards(&self, keys: Vec<CardKey>) -> Result<Vec<Option<CardRecord>>, StoreFault>;

    /// One card by its row alone, for callers who got the reference from the store itself.
    async fn card(&self, card: CardRef) -> Result<Option<CardRecord>, StoreFault>;

    /// A cardmember's cards, by role, then by last four digits.
    async fn cards_of(&self, cardmember: CardmemberId) -> Result<Vec<CardRecord>, StoreFault>;

    /// All cards in pages, for reports: up to `limit` of those that follow `after`, from the first for `None`. The order is
    /// the store's own and doesn't change; cards that are imported meanwhile may or may not be met.
    async fn cards_from(&self, after: Option<CardRef>, limit: u32) -> Result<Vec<CardRecord>, StoreFault>;

    /// Gives a card new plastic. A `StoreFault` also when the cardmember of `new` isn't there.
    async fn reissue_card(&self, reissue: Reissue) -> Result<ReissueOutcome, StoreFault>;

    /// Commits a batch in order, durably, before it answers. Runs to its end even when the caller goes away.
    ///
    /// The batch is one transaction, possibly shared with other callers'. A `StoreFault` undoes all of the batch, so
    /// callers who don't want to share a fault with others' cards send smaller ones; batching is the store's work.
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<CommitOutcome>, StoreFault>;

    /// Answered messages by identity, in order.
    async fn messages(&self, identities: Vec<[u8; 16]>) -> Result<Vec<Option<MessageRecord>>, StoreFault>;

    /// The script attempts of a card, oldest first.
    async fn attempts(&self, card: CardRef) -> Result<Vec<AttemptRecord>, StoreFault>;

    /// All or nothing. A cardmember whose reference is there with the same content is unchanged; a user ID that the
    /// batch doesn't give doesn't count as content. Refused: a reference that is there, or earlier in the batch, with
    /// other content; a user ID that somebody else has. The audit record is written when anything is inserted.
    async fn import_cardmembers(
        &self,
        batch: Vec<NewCardmember>,
        audit: AuditEvent,
    ) -> Result<ImportReport, StoreFault>;

    /// All or nothing. A card that is there with the same cardmember, PSN, expiry, programme and role is unchanged,
    /// whatever its state is by now. `state` and `mac` count only for new cards. Refused: a card that is there, or
    /// earlier in the batch, with other content; a cardmember that isn't there; as column `pan`, a card whose key has
    /// another card's row and a different check. The audit record is written when anything is inserted.
    async fn import_cards(
        &self,
        batch: Vec<CardRecord>,
        audit: AuditEvent,
    ) -> Result<ImportReport, StoreFault>;

    /// What [`Store::import_cardmembers`] would refuse. Writes nothing.
    async fn judge_cardmembers(&self, batch: Vec<NewCardmember>) -> Result<Vec<RefusedRow>, StoreFault>;

    /// What [`Store::import_cards`] would refuse, whoever its cardmembers are. Writes nothing.
    async fn judge_cards(&self, batch: Vec<CardRecord>) -> Result<Vec<RefusedRow>, StoreFault>;

    async fn cardmember(&self, id: CardmemberId) -> Result<Option<CardmemberRecord>, StoreFault>;
    async fn cardmember_by_user_id(&self, user_id: &str) -> Result<Option<CardmemberRecord>, StoreFault>;
    /// Numbers of cardmembers by the issuer's references, in order.
    async fn cardmembers_by_reference(
        &self,
        references: Vec<String>,
    ) -> Result<Vec<Option<CardmemberId>>, StoreFault>;

    /// Ends the cardmember's sessions with their grants: whoever learned the old password is out.
    async fn set_password(
        &self,
        cardmember: CardmemberId,
        password_hash: String,
        mac: [u8; 16],
        audit: AuditEvent,
    ) -> Result<(), StoreFault>;

    /// Charges one sign-in try before the password is looked at: at most `failures_max` in a row, then a pause of
    /// `pause_ms` from the last of them. After the pause the counting begins anew.
    async fn charge_sign_in(
        &self,
        cardmember: CardmemberId,
        now: Timestamp,
        failures_max: u32,
        pause_ms: i64,
    ) -> Result<SignInCharge, StoreFault>;

    /// A right password: clears the failures and opens a session.
    async fn open_session(&self, session: SessionRecord, audit: AuditEvent) -> Result<(), StoreFault>;
    /// A right password for a step-up: clears the failures, gives the session the token of hash `renewed` instead of
    /// `session`, and records the grant, as of the audit record's moment. The session's other grants move along. The
    /// grant replaces an older one of the same session, card and operation, is good for one commit, and ends with the
    /// session. `false`, and nothing is written, when no session has this token any more.
    async fn grant_step_up(&self, grant: StepUpGrant, audit: AuditEvent) -> Result<bool, StoreFault>;
    /// The unspent grant that is not older than `not_before`. The commit looks again.
    async fn step_up(&self, spend: StepUpSpend) -> Result<Option<StepUpRecord>, StoreFault>;
    /// The session, when it was seen at or after `idle_since` and opened at or after `opened_since`; marks it seen.
    async fn session(
        &self,
        token_hash: [u8; 32],
        now: Timestamp,
        idle_since: Timestamp,
        opened_since: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreFault>;
    async fn close_session(&self, token_hash: [u8; 32]) -> Result<(), StoreFault>;

    /// Leases up to `limit` due notices until `lease_until`, oldest first. None overtakes an earlier one to the same
    /// cardmember that waits for its next try; send one cardmember's in the order given.
    async fn claim_notices(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueNotice>, StoreFault>;
    /// Final: it is never due again, whatever is said of it later.
    async fn notice_sent(&self, id: i64, at: Timestamp) -> Result<(), StoreFault>;
    async fn notice_failed(&self, id: i64, next_try_at: Timestamp, reason: &str) -> Result<(), StoreFault>;

    /// Keeps what is owed to upstreams, durably; gives their numbers, in order.
    async fn keep_owed(&self, owed: Vec<NewOwed>) -> Result<Vec<i64>, StoreFault>;
    /// Up to `limit` of those of a link with a number above `after`, oldest first.
    async fn owed(&self, link: &str, after: i64, limit: u32) -> Result<Vec<OwedMessage>, StoreFault>;
    /// Links to whose upstream anything is owed, by name.
    async fn owed_by_link(&self) -> Result<Vec<OwedCount>, StoreFault>;
    /// Forgets what the upstream has answered. Numbers that are not there are passed over.
    async fn settle_owed(&self, ids: Vec<i64>) -> Result<(), StoreFault>;

    /// Whether writes go through: how the last transaction that changed something ended; where it failed, how one more ends
    /// that changes nothing but has to be written all the same. For health checks.
    async fn try_write(&self) -> Result<(), StoreFault>;

    /// Audit records from a sequence number on, ascending.
    async fn audit_from(&self, sequence: u64, limit: u32) -> Result<Vec<AuditRecord>, StoreFault>;
    /// Appends to the chain what belongs to no card's commit (a start, a key operation).
    async fn append_audit(&self, events: Vec<AuditEvent>) -> Result<(), StoreFault>;
    /// The newest record, to be anchored.
    async fn audit_head(&self) -> Result<Option<AuditRecord>, StoreFault>;
    /// Keeps an anchor. The first for a sequence number stays.
    async fn put_anchor(&self, anchor: AuditAnchor) -> Result<(), StoreFault>;
    /// All anchors, by sequence number.
    async fn anchors(&self) -> Result<Vec<AuditAnchor>, StoreFault>;
}
