-- +goose Up

-- İ is i, as I and ı are; its fold was two characters, i and a dot above.
update contacts set search = replace(search, 'i' || char(775), 'i') where search like '%i' || char(775) || '%';
update lists set search = replace(search, 'i' || char(775), 'i') where search like '%i' || char(775) || '%';
update segments set search = replace(search, 'i' || char(775), 'i') where search like '%i' || char(775) || '%';
update templates set search = replace(search, 'i' || char(775), 'i') where search like '%i' || char(775) || '%';
update campaigns set search = replace(search, 'i' || char(775), 'i') where search like '%i' || char(775) || '%';
