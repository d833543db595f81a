-- +goose Up

-- İ is i, as I and ı are: lower() makes it two characters, i and a dot above.
-- +goose StatementBegin
do $do$
begin
  execute format($f$
    create or replace function fold(x text) returns text language sql immutable parallel safe as $body$
      select case when octet_length(x) = length(x) then lower(x collate "C")
        else replace(replace(lower(upper(lower(x collate %s))), 'ς', 'σ'), U&'i\0307', 'i') collate "C" end
    $body$
  $f$, case when exists (select from pg_collation where collname = 'und-x-icu') then '"und-x-icu"' else '"default"' end);
end
$do$;
-- +goose StatementEnd

update contacts set search = replace(search, U&'i\0307', 'i') where search like U&'%i\0307%';
update lists set search = replace(search, U&'i\0307', 'i') where search like U&'%i\0307%';
update segments set search = replace(search, U&'i\0307', 'i') where search like U&'%i\0307%';
update templates set search = replace(search, U&'i\0307', 'i') where search like U&'%i\0307%';
update campaigns set search = replace(search, U&'i\0307', 'i') where search like U&'%i\0307%';
