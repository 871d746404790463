//! Every bound of the server in one place.
//!
//! A bound that an operator may want to move is a flag (named behind it); the others say why not.

use std::time::Duration;

// Requests.

/// Fields of one request. No flag: RFC 9110 §5.4 leaves it to us, and browsers send about twenty.
pub const FIELDS_MAX: usize = 100;
/// Bytes of a method; longer ones get 501 (RFC 9112 §3). No flag: the registry's longest has 17.
pub const METHOD_BYTES_MAX: usize = 32;
/// Empty lines before a request line that are skipped (RFC 9112 §2.2 asks for one).
pub const EMPTY_LINES_MAX: usize = 4;
/// Bytes of a request head. Flag: `--max-head-bytes`.
pub const HEAD_BYTES_DEFAULT: usize = 32 * 1024;
/// Bytes of a request target; longer ones get 414. No flag: beyond it lies only abuse.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a decoded path: Linux takes 4096 with the final NUL.
pub const PATH_BYTES_MAX: usize = 4095;
/// Bytes of one chunk-size line with its extensions. No flag: extensions are not used in practice.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Bytes of chunk extensions over one whole body (a flood of them is an attack).
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a trailer section.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Bytes of an unwanted request body that are read and thrown away to keep the connection.
pub const DRAIN_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a request body that wait for the task that takes them. No flag: enough for one piece to
/// be written to a disk while the next one comes.
pub const REQUEST_BODY_QUEUE_BYTES: usize = 512 * 1024;
/// A body that is asked for brings so many bytes within `--body-timeout`, or its end. No flag: less
/// than any line that carries web pages, and too much for who only wants to keep us waiting.
pub const BODY_PROGRESS_BYTES_MIN: usize = 1024;
/// Bytes of the table that a client's HPACK encoder may fill, counted as RFC 7541 §4.1 does. No
/// flag: it is what SETTINGS_HEADER_TABLE_SIZE is at first, and few clients could use more.
pub const HPACK_TABLE_BYTES_MAX: usize = 4096;
/// A field section that unfolds to so many times what a request may have is not decoded to its end
/// (a bomb of HPACK, CVE-2016-6581): the connection ends. No flag: up to there the answer is 431.
pub const HPACK_WORK_FACTOR: usize = 8;
/// Ranges of one `Range` field; one with more is answered with everything. No flag: viewers of
/// documents ask for a handful, and so many still fit on the stack (16 bytes each).
pub const RANGES_MAX: usize = 32;
/// Small ranges in no order that are still served (RFC 9110 §14.2 calls many of them abuse).
pub const RANGES_UNORDERED_MAX: usize = 8;
/// Language ranges of a request that are read; browsers send one for each language of their user.
pub const LANGUAGE_RANGES_MAX: usize = 32;
/// Media ranges of a request that are read, for each type that could be sent; browsers send eight.
pub const MEDIA_RANGES_MAX: usize = 32;

// Connections.

/// Connections that wait to be accepted, for each listening socket. Flag: `--backlog`.
pub const BACKLOG_DEFAULT: u32 = 4096;
/// Connections taken from one listener in one turn of an emulated accept, so that those already
/// accepted are served meanwhile. No flag: the rest is taken in the next turn.
pub const ACCEPTS_PER_TURN: usize = 64;
/// With room for fewer connections than this, the server refuses to start.
pub const CONNECTIONS_MIN: u64 = 8;
/// Descriptors held back from connections, for the process. No flag: `--max-connections` decides.
pub const DESCRIPTORS_RESERVED: u64 = 44;
/// Descriptors held back from connections, for each worker: its ring, waker, epoll, open files.
pub const DESCRIPTORS_RESERVED_PER_WORKER: u64 = 8;
/// Unsent output of one connection above which it stops parsing further pipelined requests.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// Bodies up to this size are copied behind their head; larger ones go out by reference (10 KB: 3 %
/// cheaper so, and cheaper the larger).
pub const COPY_BODY_BYTES_MAX: usize = 4 * 1024;
/// How long a slice of a file that was seen in memory is not asked about again. No flag: short
/// against the life of a page that is in use, long against the time between two requests for it.
pub const WARM_FOR: Duration = Duration::from_secs(1);
/// A send is flushed to the kernel at the latest after so many were queued, while output is in
/// cache.
pub const SENDS_PER_FLUSH: usize = 16;
/// What is known of a file being in memory is known by slices of this size; also one read of a cold
/// file. No flag: small enough to hold one for each reader of a cold file.
pub const FILE_SLICE_BYTES: usize = 256 * 1024;
/// What one `sendfile(2)` hands over at most. Long bursts wake the peer less often: measured, they
/// cost a third less than single slices.
pub const FILE_BURST_BYTES: usize = 1024 * 1024;
/// What all connections of a worker hand over by `sendfile(2)` in one turn of the loop (about half
/// a millisecond), so that short answers are not held up by long ones.
pub const FILE_TURN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Files are read in blocks of this size for answers that are encrypted or cut into frames: it
/// stays in the second-level cache until it is sent. No flag.
pub const FILE_BLOCK_BYTES: usize = 64 * 1024;
/// Blocks that one worker keeps while they are in use: 32 MiB. No flag: what lies in them is asked
/// for now.
pub const FILE_BLOCKS_MAX: usize = 512;
/// What one connection of HTTP/2 holds of files that were read ahead for its streams: a client
/// that opens each window by a byte would make us hold a part of each. Two slices that came from
/// the disk. No flag: beyond it, parts are read again.
pub const FILES_AHEAD_BYTES_MAX: usize = 512 * 1024;
/// Slices that are read from the disk at a time for one connection of HTTP/2; its other streams
/// wait. No flag: enough for a disk to be busy, while 128 slices would be 32 MiB.
pub const H2_COLD_READS_MAX: usize = 4;
/// Bytes of frames of HTTP/2 that are pulled into one send. No flag: enough for the socket to stay
/// busy, little enough for a more urgent stream not to wait long.
pub const FRAMED_SEND_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a body that is made while it is sent that wait between its producer and its connection,
/// where the producer knows nothing better. No flag: two sends, so that one is made while the other
/// is on its way.
pub const BODY_STREAM_BYTES: usize = 2 * STREAMED_SEND_BYTES_MAX;
/// Bytes of such a body that one send of HTTP/1 takes. No flag: enough for the socket to stay busy.
pub const STREAMED_SEND_BYTES_MAX: usize = 64 * 1024;
/// Bytes of TLS records that are made for one send. No flag: the memory that they are made in stays
/// in the second-level cache.
pub const SEALED_SEND_BYTES_MAX: usize = 4 * RECORD_BYTES_MAX;
/// So many bytes of TLS records and more are handed to the socket at once instead of with the
/// turn's other sends: their memory is then used for the next ones. No flag: a system call is
/// cheaper than missing the cache.
pub const SEALED_AT_ONCE_MIN: usize = 16 * 1024;
/// What one connection may encrypt in one turn, so that short answers are not held up by long ones.
pub const SEALED_TURN_BYTES_MAX: usize = 256 * 1024;

// TLS.

/// Plaintext of one record that we make. No flag: nearly the largest there is (RFC 8446 §5.1),
/// since a record costs the same whatever it holds; a little less, so that records that stand one
/// behind the other do not lie where copying is slow (see `tls/session.rs`).
pub const RECORD_BYTES_MAX: usize = 16 * 1024 - 128;
/// Records of one handshake message that are held until its end has come. No flag: messages have at
/// most 64 KiB (a chain of client certificates), and no client makes many small records of them.
pub const HANDSHAKE_FRAGMENT_BYTES_MAX: usize = 66 * 1024;
/// TLS handshakes of one worker at a time; further connections wait to be read. A handshake costs
/// about 0.3 ms of processor time, so that so many keep a worker busy for less than a tick. One
/// that lasts longer than a tick waits for its peer and does not count any more. Flag:
/// `--max-handshakes`.
pub const HANDSHAKES_DEFAULT: u32 = 256;
/// Seconds after which random ticket keys are made anew; the key before opens tickets for as long
/// again. No flag: `--tls-ticket-keys` for who wants to decide.
pub const TICKET_KEY_SECONDS: u64 = 12 * 60 * 60;
/// Seconds for which a session ticket is good. No flag: RFC 8446 §4.6.1 allows a week at most, and
/// what a stolen ticket key opens grows with it.
pub const TICKET_SECONDS: u64 = 12 * 60 * 60;
/// Ticket keys from files; each is tried by its name for every ticket.
pub const TICKET_KEYS_MAX: usize = 64;
/// Bytes of a file with certificates or keys: whole bundles of authorities have 250 KB.
pub const PEM_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How often certificates and keys are looked at for changes; a change that has held still for so
/// long is taken.
pub const CERTIFICATES_WATCH_PAUSE: Duration = Duration::from_secs(1);

// HTTP/2.

/// Payload of the largest frame that we take (SETTINGS_MAX_FRAME_SIZE): the least that RFC 9113
/// §6.5.2 allows. No flag: larger frames would only need larger buffers.
pub const H2_FRAME_BYTES_MAX: usize = 16 * 1024;
/// Streams that a peer may have open at a time: RFC 9113 §6.5.2 asks for at least 100, and browsers
/// make do with that. Flag: `--http2-max-streams`.
pub const H2_STREAMS_DEFAULT: u32 = 128;
/// Content that a peer may send on one stream before we have taken it. No flag: 256 KiB on a way of
/// 50 ms is 5 MB/s, and memory is bounded by the connection's window.
pub const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Content that a peer may send on all streams of a connection before we have taken it.
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Content that waits for slow tasks on all streams of a connection before its window stays shut:
/// below, a task that takes nothing holds up its own stream only. No flag: a few whole windows of
/// streams.
pub const H2_CONTENT_WAITING_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Payload of the largest DATA frame that we send, however much the peer takes: the length of one
/// turn. No flag: a peer that takes more than the usual 16 KiB has asked for it, up to here.
pub const H2_TURN_BYTES_MAX: usize = 64 * 1024;
/// CONTINUATION frames of one field block (CVE-2024-27316). No flag: a list of `--max-head-bytes`
/// needs two.
pub const H2_CONTINUATIONS_MAX: u32 = 8;
/// Streams that we have reset and whose frames may still be on their way: as many as can be open.
pub const H2_RESETS_REMEMBERED: usize = 128;
/// Gaps in a peer's stream ids that are told from streams that were used. Clients leave none.
pub const H2_GAPS_REMEMBERED: usize = 16;
/// RST_STREAM frames that a peer may send at once, and each second after (CVE-2023-44487): a page
/// that is left cancels what it has open.
pub const H2_RESETS_BURST: u32 = 500;
pub const H2_RESETS_PER_SECOND: u32 = 50;
/// Streams that a peer may make us reset or refuse at once, and each second after (CVE-2025-8671).
pub const H2_FAULTS_BURST: u32 = 200;
pub const H2_FAULTS_PER_SECOND: u32 = 20;
/// Frames that bring nothing by themselves (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA…)
/// at once, and each second after (CVE-2019-9512, -9515, -9518).
pub const H2_CONTROL_BURST: u32 = 1000;
pub const H2_CONTROL_PER_SECOND: u32 = 100;
/// Such frames that one request, or one DATA frame that we send, pays for: clients open windows and
/// measure the way as they receive.
pub const H2_CONTROL_PER_USE: u32 = 4;

// Time.

/// The tick of the timer wheel; deadlines are met within one tick.
pub const TICK: Duration = Duration::from_millis(100);
/// Seconds between requests. Flag: `--keepalive-timeout`.
pub const KEEPALIVE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// Seconds for a whole request head. Flag: `--header-timeout`.
pub const HEADER_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Seconds in which a peer takes no byte. Flag: `--send-timeout`.
pub const SEND_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Seconds in which the body of a request makes no progress. Flag: `--body-timeout`.
pub const BODY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Seconds for a TLS handshake. Flag: `--handshake-timeout`.
pub const HANDSHAKE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// How long a connection lingers to let the peer read its last answer before it is closed.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds between the order to stop and the end. Flag: `--grace-period`.
pub const GRACE_PERIOD_DEFAULT: Duration = Duration::from_secs(10);
/// No deadline that a flag sets lies further away: beyond it lies a slip of the unit.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

// Files and the cache.

/// How old a cached file may grow before it is compared with the disk again.
pub const FRESH_FOR: Duration = Duration::from_millis(900);
/// A file that changed so shortly before it was read may change again without a trace in its times:
/// two seconds is the coarsest clock of the file systems in use (FAT; NFS servers have one second).
pub const RACY_WINDOW: Duration = Duration::from_secs(2);
/// How often a file that changes while it is read is read again before the request is given up.
pub const LOAD_ATTEMPTS_MAX: usize = 3;
/// Bytes of all cached bodies of all workers. Flag: `--cache-size`.
pub const CACHE_BYTES_DEFAULT: u64 = 256 << 20;
/// Bytes of one cached file. Flag: `--cache-entry-max`.
pub const CACHE_ENTRY_BYTES_DEFAULT: u64 = 64 << 10;
/// Files of this size and more go out by `sendfile(2)`. Flag: `--sendfile-min`.
pub const SENDFILE_BYTES_DEFAULT: u64 = 64 << 10;
/// One descriptor of so many may be a large file that the cache keeps open.
pub const CACHED_DESCRIPTORS_SHARE: u64 = 8;
/// Bytes of the paths that one worker's cache index knows (bodies are counted by `--cache-size`).
/// No flag: some hundred thousand paths; beyond, a path is looked up in the shared store again.
pub const INDEX_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long an index may hold on to what the shared store has let go, while memory is not short.
pub const INDEX_SWEEP_PAUSE: Duration = Duration::from_secs(10);
/// Bytes of what a worker knows of paths that lead to no file: redirects, errors, and the fallback
/// page by all its names. No flag: it only saves look-ups.
pub const PAGES_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How old an entry may grow whose changes the kernel tells us. No flag: a safety net for what a
/// kernel forgets to tell.
pub const WATCHED_FRESH_FOR: Duration = Duration::from_secs(60);
/// Files that are known by their heads and names beside those in memory, each with about a
/// kilobyte. Flag: `--cache-files`.
pub const CACHE_FILES_DEFAULT: u64 = 128 * 1024;
/// A file whose body had no room in memory gets some, at the cost of others, when it is asked for
/// so often within the time below. No flag: below it, reading it costs less than moving others.
pub const PROMOTE_HITS: u32 = 64;
pub const PROMOTE_WINDOW: Duration = Duration::from_secs(8);
/// Trees of earlier deploys that `--keep-removed` serves from. No flag: more deploys within that
/// time are a mistake.
pub const TREES_KEPT_MAX: usize = 8;
/// Seconds after which who comes during maintenance may come again. Flag: `--retry-after`.
pub const RETRY_AFTER_SECONDS_DEFAULT: u64 = 120;
/// Bytes of a page that explains an error; a larger one is not used. No flag: it is held in memory
/// for each path that it answers.
pub const ERROR_PAGE_BYTES_MAX: u64 = 1024 * 1024;
/// Threads that wait for disks on behalf of all workers, where the engine has no other way.
pub const FILE_THREADS_DEFAULT: u32 = 4;
/// File operations that wait for such a thread, over all workers; more of them fail with `EAGAIN`.
/// No flag: every waiting exchange has one, so that their number is bounded by connections first.
pub const FILE_OPERATIONS_WAITING_MAX: usize = 16 * 1024;
/// Entries of one directory listing; what is beyond is not shown, and the listing says so. No flag:
/// nobody reads on so far, and a million take 60 MB while they are sent.
pub const LISTING_ENTRIES_MAX: usize = 1_000_000;
/// A listing of so many entries is kept like a file; a longer one is made for each request. No
/// flag: such a page has about 60 KB.
pub const LISTING_KEPT_ENTRIES_MAX: usize = 256;
/// Long directories that are not read again for a moment.
pub const LISTINGS_KEPT_MAX: usize = 4;
/// Bytes of a streamed listing between its maker and its connection.
pub const LISTING_STREAM_BYTES_MAX: usize = 128 * 1024;
/// Bytes of one piece of a listing that is streamed. No flag: one batch of output.
pub const LISTING_PIECE_BYTES: usize = 32 * 1024;

// Rules of a site.

/// Bytes of one path glob. No flag: nobody reads a longer one.
pub const GLOB_BYTES_MAX: usize = 256;
/// Globs that one glob with braces may stand for.
pub const GLOB_ALTERNATIVES_MAX: usize = 64;
/// Bytes of `_headers` or `_redirects`; nothing behind them is read. No flag: other servers stop at
/// a tenth of it.
pub const RULE_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one line of these files: a long policy fits.
pub const RULE_LINE_BYTES_MAX: usize = 8 * 1024;
/// Rules of one such file.
pub const RULES_PER_FILE_MAX: usize = 10_000;
/// Faults of these files that are told, one by one.
pub const COMPLAINTS_MAX: usize = 100;
/// Bytes of a `Location` that a rule makes of what it captured; a longer one is not sent. A target
/// may name a capture several times, and escapes are three times as long as what they stand for.
pub const LOCATION_BYTES_MAX: usize = 16 * 1024;
/// Directories, from the root down, in which an error page of their own is looked for.
pub const ERROR_PAGE_DEPTH_MAX: usize = 32;
/// Bytes of a host name (RFC 1035 §2.3.4, without the root's).
pub const HOST_NAME_BYTES_MAX: usize = 253;

// Credentials.

/// How often files of users, tokens and keys are looked at for changes.
pub const USERS_LOOK_PAUSE: Duration = Duration::from_secs(1);
/// The field that names the user in an answer to `--forward-auth`, unless `--forward-auth-copy`
/// does.
pub const USER_FIELD_DEFAULT: &str = "Remote-User";

/// Bytes of one file of users, tokens or keys. No flag: a hundred thousand users have so many.
pub const CREDENTIALS_FILE_BYTES_MAX: u64 = 16 << 20;
/// Users, and tokens, of all files together.
pub const CREDENTIALS_MAX: usize = 100_000;
/// Bytes of the name of a user, which stands in each line of the log.
pub const USER_NAME_BYTES_MAX: usize = 256;
/// Bytes of a password. No flag: a phrase of a hundred words has half of it.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Bytes of a bearer token: with many groups in it a JWT has 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Keys that sign tokens, over all files.
pub const JWT_KEYS_MAX: usize = 64;
/// Keys that one token is tried with, where it does not name its own. No flag: an RSA key takes
/// 30 µs, and whoever sends nonsense has us try all of them.
pub const JWT_KEYS_TRIED_MAX: usize = 8;
/// Memory that one hashed password may take, in KiB. No flag: a line of the users file asks for it,
/// and some are hashed at a time; OWASP asks for 19 MiB.
pub const ARGON2_KIB_MAX: u32 = 256 * 1024;
/// Rounds of argon2 over that memory.
pub const ARGON2_ROUNDS_MAX: u32 = 32;
/// Two to the power of this are the rounds of bcrypt: about 5 s.
pub const BCRYPT_COST_MAX: u32 = 16;
/// How long a credential that was checked is good without being checked again.
pub const CREDENTIAL_REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// How long a credential that was refused is refused without being checked again. No flag: a page
/// sends its twenty requests with it, and whoever makes a new user wants to try at once.
pub const REFUSAL_REMEMBERED: Duration = Duration::from_secs(10);
/// Guessed bytes of credentials that were checked and are remembered, over all workers. No flag: a
/// password or short token has about 200.
pub const CREDENTIALS_REMEMBERED_BYTES: u64 = 16 << 20;
/// Credentials that were refused and are remembered.
pub const REFUSALS_REMEMBERED: usize = 8 * 1024;
/// What one worker remembers of the fields that it has seen, in slots and bytes of each. No flag:
/// 2 MiB at most; it saves half a microsecond.
pub const CREDENTIAL_MEMO_SLOTS: usize = 1024;
pub const CREDENTIAL_MEMO_BYTES: usize = 2048;
/// Addresses whose failures are counted, 8 bytes each; beyond, those that failed least or longest
/// ago are forgotten. No flag: 512 KiB.
pub const FAILING_ADDRESSES_MAX: usize = 64 * 1024;
/// Wrong credentials that an address may send before it has to wait.
pub const FAILURES_FREE: u32 = 4;
/// The longest that an address waits after one more wrong credential.
pub const FAILURE_PENALTY_MAX: Duration = Duration::from_secs(30);
/// After so long without a wrong credential, those of an address are forgotten.
pub const FAILURES_REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// Someones of one `--access` rule.
pub const ACCESS_SOMEONES_MAX: usize = 1024;

// Compression.

/// Bytes of the smallest content that is compressed: below, the fields cost more than is saved.
pub const COMPRESS_BYTES_MIN: u64 = 256;
/// Bytes of the largest content that is compressed while the server runs: brotli at its best takes
/// half a minute for it. No flag: `downpour precompress` does larger ones beforehand.
pub const COMPRESS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Compressed forms are kept below `--compress-dir` up to so many bytes in all; then the ones that
/// were not used for longest go.
pub const COMPRESS_DIR_BYTES_MAX: u64 = 1 << 30;
/// Bytes of the largest file that `downpour precompress` reads, once for each of its jobs. No flag:
/// larger files are archives and films.
pub const PRECOMPRESS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Files that `downpour precompress` compresses at a time. Flag: `--jobs`; more is a slip of the
/// finger.
pub const PRECOMPRESS_JOBS_MAX: usize = 1024;
/// Jobs that wait for the pool's threads, for each urgency. No flag: more of them would only hold
/// memory; what is refused is asked for again by the next request.
pub const POOL_JOBS_WAITING_MAX: usize = 256;
/// Threads that wait for answers of other servers, over all workers. No flag: they cost nothing but
/// their stacks.
pub const POOL_ELSEWHERE_THREADS_MAX: usize = 64;
/// How long a thread of the pool waits for its next job before it ends.
pub const POOL_THREAD_IDLE: Duration = Duration::from_secs(10);

// Watching the disk.

/// Directories that are watched. The kernel keeps about a kilobyte for each, besides its own limit
/// (`fs.inotify.max_user_watches`). No flag: files of further ones are compared by their age.
pub const WATCHED_DIRECTORIES_MAX: usize = 64 * 1024;
/// Names that cached things depend on, over all things; each costs about 75 bytes. No flag: what
/// exceeds it is compared with the disk by its age.
pub const WATCH_REGISTRATIONS_MAX: usize = 1 << 20;
/// Requests that wait for the cold thread to watch a directory; for further ones it is unwatched.
pub const WATCH_REQUESTS_WAITING_MAX: usize = 1024;
/// Names with recent events that one directory remembers, so that a file which is written to all
/// the time does not keep its neighbours from being registered.
pub const WATCH_EVENTS_REMEMBERED: usize = 8;
/// Names that are known to be no directory, for each directory. No flag: it only saves asking.
pub const WATCH_MARKS_REMEMBERED: usize = 32;
/// Names of a directory that are looked through for compressed forms: where there are more, each
/// file's own are looked for. No flag: it only saves looking.
pub const FORMS_LOOK_NAMES_MAX: usize = 16 * 1024;
/// After so long, what could not be watched is tried again.
pub const WATCH_RETRY_PAUSE: Duration = Duration::from_secs(60);
/// Events are not read more often than this: the kernel joins equal ones that wait. No flag: long
/// against the reading of one, short against anything that a person could notice.
pub const WATCH_READ_PAUSE: Duration = Duration::from_millis(2);
/// How often the path of a root, and files with rules, are looked at besides being watched: what
/// is not seen otherwise is seen then, and answered from well within a second.
pub const ROOT_LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Files with rules are read when nothing has happened to them for so long, or for
/// [`RULE_FILES_WAIT_MAX`] something all the time.
pub const RULE_FILES_QUIET: Duration = Duration::from_millis(50);
const _: () = assert!(ROOT_LOOK_PAUSE.as_millis() + RULE_FILES_QUIET.as_millis() < 1000);
pub const RULE_FILES_WAIT_MAX: Duration = Duration::from_millis(500);
/// Symbolic links in the path of a root, as many as Linux follows.
pub const ROOT_LINKS_MAX: usize = 40;

// Access.

/// Networks of one list of addresses. No flag: a list of all networks of a country has a tenth.
pub const NETWORKS_MAX: usize = 64 * 1024;
/// Bytes of a header of the PROXY protocol. No flag: what proxies add to the addresses (names, a
/// certificate) has some hundred.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;
/// Requests a second that a limit may allow: the times between them are counted in nanoseconds, and
/// are true to 0.1 % so.
pub const LIMIT_PER_SECOND_MAX: u64 = 1_000_000;
/// Bytes of the name of a limit, which every answer says.
pub const LIMIT_NAME_BYTES_MAX: usize = 64;
/// Times that a request looks for its place among what is counted, while other threads take it
/// away. No flag: each time, one of them has done its work.
pub const LIMIT_TRIES_MAX: usize = 16;
/// Origins of one rule of `--cors`.
pub const CORS_ORIGINS_MAX: usize = 256;
/// How long a browser may remember the answer to a preflight, where a rule does not say.
pub const CORS_MAX_AGE_DEFAULT: Duration = Duration::from_secs(600);
/// Bytes of `Access-Control-Request-Headers` that are given back.
pub const CORS_REQUEST_HEADERS_BYTES_MAX: usize = 1024;
/// Paths whose policy a worker remembers; then it begins anew. No flag: a policy is quickly found.
pub const POLICIES_KEPT_MAX: usize = 8 * 1024;
/// How long the server of `--forward-auth` may take for its answer. No flag: a client waits.
pub const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long its answer holds at most, whatever it says.
pub const FORWARD_ANSWER_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// Its answers that a worker remembers.
pub const FORWARD_ANSWERS_MAX: usize = 4 * 1024;
/// Bytes of a question whose answer is remembered.
pub const FORWARD_KEY_BYTES_MAX: usize = 4 * 1024;

// Writing.

/// Content of a request is gathered up to so many bytes before it is written: what one thread is
/// given at a time. No flag: larger writes are not cheaper, and each upload holds two of them.
pub const UPLOAD_CHUNK_BYTES: usize = 256 * 1024;
/// Threads that write, over all workers. No flag: they wait for the disk, and what waits together
/// is made durable together.
pub const WRITE_THREADS: usize = 16;
/// Writes that wait for a thread. No flag: every upload has one at most, so that their number is
/// bounded by connections first.
pub const WRITES_WAITING_MAX: usize = 16 * 1024;
/// How often a write that raced with another program is tried again.
pub const WRITE_ATTEMPTS_MAX: usize = 3;
/// Locks of the moment in which a name gets its new content; names share them. No flag: they are
/// held for microseconds.
pub const WRITE_STRIPES: usize = 256;
/// Operations of one JSON Patch. No flag: each of them may move a whole array.
pub const PATCH_OPERATIONS_MAX: usize = 1000;
/// What the operations of a JSON Patch may copy and add, as a multiple of the bytes that the
/// document may have: copies of copies grow as a power of two.
pub const PATCH_WORK_FACTOR: u64 = 4;
/// Levels of a patched document: what the parser takes.
pub const JSON_DEPTH_MAX: usize = 127;
/// Documents that are patched at a time: in memory, each takes many times its bytes.
pub const PATCHES_AT_ONCE_MAX: usize = 8;
/// Members of a collection that one page lists, and when the query does not say how many.
pub const COLLECTION_PAGE_MAX: usize = 1000;
pub const COLLECTION_PAGE_DEFAULT: usize = 100;
/// Bytes of an `Idempotency-Key`. No flag: a UUID has 36.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// An unfinished file of an earlier run is removed when nothing has happened to it for so long.
pub const DRAFT_LEFT_AFTER: Duration = Duration::from_secs(60);

// What clients may send and change.

/// Bytes of the content of a request. Flag: `--max-body-bytes`.
pub const BODY_BYTES_DEFAULT: u64 = 16 << 20;
/// Bytes of a document that is patched, and of the patch. Flag: `--max-patch-bytes`; more than
/// `PATCH_BYTES_MAX` is not held in memory.
pub const PATCH_BYTES_DEFAULT: u64 = 1 << 20;
pub const PATCH_BYTES_MAX: u64 = 64 << 20;
/// How long an answer is kept for its `Idempotency-Key`. Flag: `--idempotency-time`.
pub const IDEMPOTENCY_TIME_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of all such answers. Flag: `--idempotency-size`, not less than the second: a page of the
/// database.
pub const IDEMPOTENCY_BYTES_DEFAULT: u64 = 64 << 20;
pub const IDEMPOTENCY_BYTES_MIN: u64 = 4 << 10;
/// Bytes of what is counted for all limits. Flag: `--limit-memory`, not less than the second.
pub const LIMIT_MEMORY_BYTES_DEFAULT: u64 = 64 << 20;
pub const LIMIT_MEMORY_BYTES_MIN: u64 = 4 << 10;
/// Bytes a second that a connection is sent at least, where `--send-rate` bounds it: with fewer, an
/// answer would not leave before `--send-timeout`.
pub const SEND_RATE_BYTES_MIN: u64 = 1 << 10;
/// How far the clock of who makes JSON web tokens may be from ours. Flag: `--jwt-leeway`, up to the
/// second: beyond, a token's time means nothing.
pub const JWT_LEEWAY_DEFAULT: Duration = Duration::from_secs(60);
pub const JWT_LEEWAY_MAX: Duration = Duration::from_secs(60 * 60);

// The process.

/// Worker threads. Flag: `--workers`; more than this is a slip of the finger.
pub const WORKERS_MAX: usize = 1024;
/// Log lines that wait for the writer; further ones are counted and dropped. No flag: a worker
/// never waits for a terminal.
pub const LOG_LINES_WAITING_MAX: usize = 1024;
/// Bytes of one log line; the rest is cut. A peer's bytes may stand in it.
pub const LOG_LINE_BYTES_MAX: usize = 4096;

// The access log. No flags: `--access-log` decides whether there is one at all.

/// Bytes of one worker's entries that wait to be written: some 4000 requests. What finds no room is
/// dropped and counted.
pub const ACCESS_RING_BYTES: usize = 1024 * 1024;
/// Bytes of lines that are written by one `write(2)`.
pub const ACCESS_BUFFER_BYTES: usize = 256 * 1024;
/// Bytes of the texts of one entry; what is longer is cut, and the cut is marked.
pub const LOGGED_TARGET_BYTES_MAX: usize = 2048;
pub const LOGGED_QUERY_BYTES_MAX: usize = 2048;
pub const LOGGED_REFERER_BYTES_MAX: usize = 1024;
pub const LOGGED_USER_AGENT_BYTES_MAX: usize = 512;
pub const LOGGED_HOST_BYTES_MAX: usize = 262; // A name, a colon and a port.
pub const LOGGED_USER_BYTES_MAX: usize = 128;
/// Bytes of a request id that a trusted peer has chosen; a longer one is not taken.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// How long the writer sleeps while there is nothing to write, and while there is. It is woken
/// earlier by a ring that fills up.
pub const ACCESS_IDLE_PAUSE: Duration = Duration::from_millis(250);
pub const ACCESS_BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How often dropped lines are told at most.
pub const ACCESS_DROPS_TOLD_PAUSE: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last lines: a stuck disk or a pipe that nobody
/// reads must not keep a server alive.
pub const ACCESS_FINISH_WAIT: Duration = Duration::from_secs(2);

// The configuration.

/// Bytes of a configuration file: thousands of rules. No flag: it would have to be read first.
pub const CONFIG_BYTES_MAX: u64 = 4 << 20;
/// Sites of a configuration.
pub const SITES_MAX: usize = 1024;
/// Hosts that one site answers for.
pub const SITE_NAMES_MAX: usize = 256;
/// Rules of one kind (redirects, fields, …) that one site has.
pub const SITE_RULES_MAX: usize = 16 * 1024;
/// Languages of one site; each is looked for beside a file that is asked for the first time.
pub const LANGUAGES_MAX: usize = 64;
/// What is tried for one path, for the same reason.
pub const TRIES_MAX: usize = 16;
/// Times that deploys and maintenance take (`--keep-removed`, `--retry-after`): 30 days.
pub const LONG_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

// Relations that the code relies on.
const _: () = assert!(H2_STREAM_WINDOW_BYTES <= H2_CONNECTION_WINDOW_BYTES);
const _: () = assert!(H2_STREAM_WINDOW_BYTES as usize <= H2_CONTENT_WAITING_BYTES_MAX);
const _: () = assert!(H2_RESETS_REMEMBERED >= H2_STREAMS_DEFAULT as usize);
const _: () = assert!(2 * FILE_SLICE_BYTES <= FILES_AHEAD_BYTES_MAX);
const _: () = assert!(TARGET_BYTES_MAX < HEAD_BYTES_DEFAULT);
const _: () = assert!(COPY_BODY_BYTES_MAX < OUTPUT_BYTES_MAX);
const _: () = assert!(COMPRESS_BYTES_MIN < COMPRESS_BYTES_MAX);
const _: () = assert!(COMPRESS_BYTES_MAX <= PRECOMPRESS_BYTES_MAX);
const _: () = assert!(FRESH_FOR.as_millis() + TICK.as_millis() <= 1000);
const _: () = assert!(CACHE_ENTRY_BYTES_DEFAULT <= CACHE_BYTES_DEFAULT);
const _: () = assert!(PATCH_BYTES_DEFAULT <= PATCH_BYTES_MAX);
const _: () = assert!(HANDSHAKE_FRAGMENT_BYTES_MAX > 0xffff);
const _: () = assert!(CREDENTIAL_MEMO_BYTES <= TOKEN_BYTES_MAX);
const _: () = assert!(FAILURE_PENALTY_MAX.as_secs() < FAILURES_REMEMBERED.as_secs());
const _: () = assert!(
    TICKET_SECONDS <= TICKET_KEY_SECONDS,
    "a ticket outlives no key"
);
const _: () = assert!(TICKET_SECONDS <= 7 * 24 * 60 * 60, "RFC 8446 §4.6.1");
