-- One transaction of the shop, for pgbench: a customer orders two products, an older order moves on, now and then an order
-- is deleted with its lines. Every transaction leaves exactly one row in shop.events, so that they can be counted.
\set customer random(1, 30000)
\set product random(1, 1999)
\set old random(1, 50000)
\set deleted random(1, 1000000)
begin;
insert into shop.orders (customer_id) values (:customer) returning id as new \gset
insert into shop.order_lines (order_id, line, product_id, quantity, price)
values (:new, 1, md5('product ' || :product)::uuid, 1, 9.99), (:new, 2, md5('product ' || :product + 1)::uuid, 2, 0.01);
update shop.products set stock = stock - 1 where id = md5('product ' || :product)::uuid;
update shop.orders set status = 'shipped', note = 'sent ' || now() where id = :old;
delete from shop.orders where id = :deleted;
insert into shop.events (kind, payload) values ('order', jsonb_build_object('order', :new::bigint, 'customer', :customer::bigint));
commit;
