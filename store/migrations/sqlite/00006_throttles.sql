-- +goose Up

alter table accounts add rate double not null default 0; -- messages per second, 0 for no bound
