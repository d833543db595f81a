-- +goose Up
-- Times are integers: microseconds since 1970, UTC.

-- What belongs to the installation: the secret that signs cursors, unsubscribe links.
create table settings (
  name  text primary key,
  value text not null
);

create table accounts (
  id         integer primary key autoincrement,
  public_id  text not null unique,
  name       text not null,
  created_at datetime not null
);

create table api_keys (
  id         integer primary key autoincrement,
  public_id  text not null unique,
  account_id bigint not null references accounts,
  mode       smallint not null,
  name       text not null,
  hash       text not null unique, -- SHA-256 of the key, hexadecimal
  hint       text not null,        -- the key's first and last characters, to tell keys apart
  scopes     text not null,
  created_at datetime not null,
  expires_at datetime,
  revoked_at datetime
);
create index api_keys_account on api_keys (account_id);

create table contacts (
  id          integer primary key autoincrement,
  public_id   text not null,
  account_id  bigint not null references accounts,
  mode        smallint not null,
  external_id text,
  phone       text,
  email       text,
  first_name  text,
  last_name   text,
  country     text,
  tags        text not null default '[]',
  attributes  text not null default '{}',
  opted_out   smallint not null default 0, -- one bit a channel, see store.Channel
  search      text not null,               -- folded name, addresses and external id
  created_at  datetime not null,
  updated_at  datetime not null
);
create unique index contacts_public_id on contacts (public_id);
create unique index contacts_external_id on contacts (account_id, mode, external_id) where external_id is not null;
create unique index contacts_phone on contacts (account_id, mode, phone) where phone is not null;
create unique index contacts_email on contacts (account_id, mode, email) where email is not null;
create index contacts_scope on contacts (account_id, mode, id);

create table lists (
  id          integer primary key autoincrement,
  public_id   text not null unique,
  account_id  bigint not null references accounts,
  mode        smallint not null,
  name        text not null,
  search      text not null,
  description text,
  created_at  datetime not null,
  updated_at  datetime not null
);
create index lists_scope on lists (account_id, mode, id);

create table list_members (
  list_id    bigint not null references lists on delete cascade,
  contact_id bigint not null references contacts on delete cascade,
  primary key (list_id, contact_id)
) without rowid;
create index list_members_contact on list_members (contact_id);

create table segments (
  id         integer primary key autoincrement,
  public_id  text not null unique,
  account_id bigint not null references accounts,
  mode       smallint not null,
  name       text not null,
  search     text not null,
  rule       text not null,
  created_at datetime not null,
  updated_at datetime not null
);
create index segments_scope on segments (account_id, mode, id);

create table templates (
  id           integer primary key autoincrement,
  public_id    text not null unique,
  account_id   bigint not null references accounts,
  mode         smallint not null,
  name         text not null,
  search       text not null,
  channel      text not null,
  subject      text,
  body         text not null,
  content_type text not null,
  created_at   datetime not null,
  updated_at   datetime not null
);
create index templates_scope on templates (account_id, mode, id);

create table imports (
  id            integer primary key autoincrement,
  public_id     text not null unique,
  account_id    bigint not null references accounts,
  mode          smallint not null,
  status        text not null,
  format        text not null,
  list_id       bigint references lists on delete set null,
  header        text not null default '[]', -- the columns of a CSV file
  bytes         bigint not null default 0,
  processed     bigint not null default 0,
  created       bigint not null default 0,
  updated       bigint not null default 0,
  failed        bigint not null default 0,
  error_code    text,
  error_message text,
  next_part     int not null default 0,
  epoch         int not null default 0,
  lease_until   datetime,
  created_at    datetime not null,
  started_at    datetime,
  completed_at  datetime
);
create index imports_scope on imports (account_id, mode, id);
create index imports_open on imports (id) where status in ('receiving', 'pending', 'running');

-- The file as it came, cut between lines; a part goes in the transaction that applies it.
create table import_parts (
  import_id  bigint not null references imports on delete cascade,
  n          int not null,
  first_line bigint not null,
  data       blob not null,
  primary key (import_id, n)
);

create table import_errors (
  import_id bigint not null references imports on delete cascade,
  line      bigint not null,
  n         int not null, -- the faults of one line, counted from 0
  field     text,
  code      text not null,
  message   text not null,
  primary key (import_id, line, n)
);

create table campaigns (
  id              integer primary key autoincrement,
  public_id       text not null unique,
  account_id      bigint not null references accounts,
  mode            smallint not null,
  version         int not null,
  name            text not null,
  search          text not null,
  channel         text not null,
  status          text not null,
  segment_id      text, -- public ids, as given: a draft may name what does not exist yet
  list_id         text,
  template_id     text,
  body            text,
  subject         text,
  content_type    text,
  sender          text,
  metadata        text,
  throttle        int, -- messages per second
  ab_test         text,
  scheduled_at    datetime,
  scheduled_ahead boolean not null default false, -- scheduled_at was in the future when set
  schedule_check  boolean not null default false, -- written to since the scheduler last looked
  schedule_missed boolean not null default false,
  started_at      datetime,
  paused_at       datetime,
  resumed_at      datetime,
  completed_at    datetime,
  cancelled_at    datetime,
  created_at      datetime not null,
  updated_at      datetime not null,
  -- the audience, frozen page by page once sending starts
  audience        text,
  build_after     bigint not null default 0,     -- the last contact id looked at
  built           boolean not null default false,
  next_chunk      int not null default 0,
  settled         boolean not null default false, -- ended, and its chunks folded into the counters
  -- how long it has been sending, for the rate: pauses do not count
  sending_since   datetime,
  sending_for     bigint not null default 0 -- microseconds before sending_since
);
create index campaigns_scope on campaigns (account_id, mode, id);
create index campaigns_due on campaigns (scheduled_at) where status = 'scheduled';
create index campaigns_check on campaigns (id) where status = 'draft' and schedule_check;
create index campaigns_open on campaigns (id) where started_at is not null and not settled;

-- The content as it was when sending started; variant 0 alone without an A/B test.
create table campaign_contents (
  campaign_id  bigint not null references campaigns on delete cascade,
  variant      smallint not null,
  name         text not null,
  percentage   smallint not null,
  subject      text not null,
  body         text not null,
  content_type text not null,
  primary key (campaign_id, variant)
);

-- What is counted outside the chunks: the audience as it is frozen, retries,
-- receipts, cancellations; and the chunks' own counts once they are gone.
create table campaign_counters (
  campaign_id        bigint not null references campaigns on delete cascade,
  variant            smallint not null,
  total              bigint not null default 0,
  accepted           bigint not null default 0, -- taken by the carrier, whatever came later
  rejected           bigint not null default 0, -- refused for good, never taken
  delivered          bigint not null default 0,
  undelivered        bigint not null default 0, -- taken, then a final bad receipt
  unknown            bigint not null default 0,
  skipped_no_address bigint not null default 0,
  skipped_opted_out  bigint not null default 0,
  skipped_deleted    bigint not null default 0,
  cancelled          bigint not null default 0,
  primary key (campaign_id, variant)
);

create table campaign_chunks (
  campaign_id        bigint not null,
  n                  int not null,
  variant            smallint not null default 0,
  phase              smallint not null default 0,
  not_before         datetime,
  ids                text not null,
  status             smallint not null default 0, -- 0 ready, 1 leased, 2 done
  epoch              int not null default 0,
  lease_until        datetime,
  done               int not null default 0,
  intent             int not null default 0,
  accepted           int not null default 0,
  rejected           int not null default 0,
  skipped_no_address int not null default 0,
  skipped_opted_out  int not null default 0,
  skipped_deleted    int not null default 0,
  primary key (campaign_id, n)
);
create index campaign_chunks_open on campaign_chunks (campaign_id, n) where status < 2;

create table messages (
  campaign_id bigint not null,
  contact_id  bigint not null,
  round       smallint not null default 0,
  status      smallint not null,
  variant     smallint not null,
  attempts    smallint not null,
  carrier     text,
  carrier_ref text,
  code        text, -- the carrier's own; the reason of a skipped one
  text        text,
  recorded_at datetime not null,
  updated_at  datetime,
  primary key (campaign_id, contact_id, round)
) without rowid;

create table retries (
  campaign_id bigint not null,
  contact_id  bigint not null,
  variant     smallint not null,
  attempts    smallint not null,
  code        text,
  text        text,
  first_at    datetime not null,
  run_after   datetime not null,
  epoch       int not null default 0,
  lease_until datetime,
  primary key (campaign_id, contact_id)
);
create index retries_due on retries (campaign_id, run_after);

create table receipts (
  id          integer primary key autoincrement,
  campaign_id bigint not null,
  contact_id  bigint not null,
  round       smallint not null,
  status      smallint not null,
  code        text,
  text        text,
  received_at datetime not null,
  not_before  datetime not null
);
create index receipts_due on receipts (not_before);

-- Who sends, over which channels. A row is alive while its heartbeat is young.
create table workers (
  id           text primary key,
  channels     text not null,
  heartbeat_at datetime not null
);
