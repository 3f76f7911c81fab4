-- Run once by the PostgreSQL image when its volume is empty: a database for each owner.
create database payments;
create database events;
