<?php
declare(strict_types=1);

/** The service: every write is one transaction and one line in the journal. */
final class Orders
{
    private const PAGE = 500;
    private const COLUMNS = 'order_nr,title,status,requester,cost_centre,ordered,deliver_by,deliver_to,total_cents,currency,attachment,urgent,decided_by,changed,version';
    private string $account = '';

    public function __construct(private Store $store, private Security $security, private string $raw, private bool $encoded)
    {
    }

    /** Header handler: makes mustUnderstand work; the token itself is read from the raw message. */
    public function Security(mixed $header): void
    {
    }

    public function ListOrders(object $asked): array
    {
        $this->enter();
        [$after, $max] = $this->position($asked);
        $now = gmdate('Y-m-d\TH:i:s\Z');
        $rows = $this->store->all('SELECT * FROM purchase_order WHERE (changed, order_nr) > (?, ?) ORDER BY changed, order_nr LIMIT ?', [...$after, $max]);
        $orders = $this->shown($rows);
        $last = end($rows);
        $next = count($rows) === $max ? "{$last['changed']}|{$last['order_nr']}" : null;
        return ['orders' => $this->encoded ? $orders : ['order' => $orders], 'nextCursor' => $next, 'asOf' => $now];
    }

    public function GetOrder(object $asked): array
    {
        $this->enter();
        return ['order' => $this->shown([$this->found($asked->orderNr)])[0]];
    }

    public function CreateOrder(object $asked): array
    {
        $this->enter();
        return $this->store->transaction(function () use ($asked) {
            $order = $asked->order;
            $request = $asked->requestId ?? null;
            $content = hash('sha256', serialize($order));
            if ($request !== null && ($done = $this->repeated($request, 'CreateOrder', $content)) !== null) {
                return ['orderNr' => $done['order_nr'], 'version' => (int) $this->found($done['order_nr'])['version']];
            }
            $nr = $order->orderNr ?? sprintf('PO-%06d', 1 + (int) $this->store->one('SELECT count(*) AS n FROM purchase_order')['n']);
            if ($this->row($nr) !== null) {
                $this->fault('CONFLICT', 'that order number is taken');
            }
            $this->need(in_array($order->status, ['draft', 'submitted'], true), 'a new order is draft or submitted');
            $this->save($nr, $order, 1);
            if ($request !== null) {
                $this->store->all('INSERT INTO request VALUES (?,?,?,?)', [$request, 'CreateOrder', $content, $nr]);
            }
            $this->journal('CreateOrder', $nr, 1, $request);
            return ['orderNr' => $nr, 'version' => 1];
        });
    }

    public function UpdateOrder(object $asked): array
    {
        $this->enter();
        return $this->store->transaction(function () use ($asked) {
            $order = $asked->order;
            $row = $this->found($order->orderNr ?? '');
            $this->current($row, $asked->expectedVersion);
            if (!in_array($row['status'], ['draft', 'submitted'], true)) {
                $this->fault('ALREADY_DECIDED', 'the order is closed');
            }
            $this->need(in_array($order->status, ['draft', 'submitted'], true), 'only DecideOrder and CancelOrder close an order');
            $version = (int) $row['version'] + 1;
            $this->save($row['order_nr'], $order, $version);
            $this->journal('UpdateOrder', $row['order_nr'], $version, null);
            return ['orderNr' => $row['order_nr'], 'version' => $version];
        });
    }

    public function CancelOrder(object $asked): array
    {
        $this->enter();
        return $this->store->transaction(function () use ($asked) {
            $row = $this->found($asked->orderNr);
            $version = (int) $row['version'];
            if ($row['status'] !== 'cancelled') {
                if (isset($asked->expectedVersion)) {
                    $this->current($row, $asked->expectedVersion);
                }
                if (in_array($row['status'], ['approved', 'rejected'], true)) {
                    $this->fault('ALREADY_DECIDED', 'the order is decided');
                }
                $this->close($row, 'cancelled', null, ++$version);
                $this->journal('CancelOrder', $row['order_nr'], $version, null);
            }
            return ['orderNr' => $row['order_nr'], 'version' => $version];
        });
    }

    public function DecideOrder(object $asked): array
    {
        $this->enter();
        return $this->store->transaction(function () use ($asked) {
            $request = $asked->requestId;
            $this->need($request !== '', 'requestId may not be empty');
            $content = hash('sha256', json_encode([$asked->orderNr, $asked->decision, $asked->comment ?? null, $asked->approver]));
            if ($this->repeated($request, 'DecideOrder', $content) === null) {
                $this->decide($asked, $content);
            }
            $made = $this->store->one('SELECT decision_id FROM decision WHERE request_id=?', [$request]);
            return ['decisionId' => $made['decision_id'], 'order' => $this->shown([$this->found($asked->orderNr)])[0]];
        });
    }

    public function ListDecisions(object $asked): array
    {
        $this->enter();
        [$after, $max] = $this->position($asked);
        $now = gmdate('Y-m-d\TH:i:s\Z');
        $rows = $this->store->all('SELECT * FROM decision WHERE (decided, decision_id) > (?, ?) ORDER BY decided, decision_id LIMIT ?', [...$after, $max]);
        $last = end($rows);
        $next = count($rows) === $max ? "{$last['decided']}|{$last['decision_id']}" : null;
        return ['decision' => array_map($this->decision(...), $rows), 'nextCursor' => $next, 'asOf' => $now];
    }

    public function GetDecision(object $asked): array
    {
        $this->enter();
        $row = $this->store->one('SELECT * FROM decision WHERE decision_id=?', [$asked->decisionId]);
        return ['decision' => $this->decision($row ?? $this->fault('NOT_FOUND', 'no such decision'))];
    }

    private function enter(): void
    {
        $this->account = $this->security->account($this->raw);
    }

    private function decide(object $asked, string $content): void
    {
        $row = $this->found($asked->orderNr);
        if (in_array($row['status'], ['approved', 'rejected'], true)) {
            $this->fault('ALREADY_DECIDED', 'the order is decided');
        }
        if (isset($asked->expectedVersion)) {
            $this->current($row, $asked->expectedVersion);
        }
        $this->need($row['status'] === 'submitted', 'only a submitted order can be decided');
        $this->need(in_array($asked->decision, ['approve', 'reject'], true), 'decision is approve or reject');
        $approver = $this->store->one('SELECT * FROM approver WHERE login=? AND active=1', [$asked->approver]);
        if ($approver === null || $row['total_cents'] > $approver['limit_cents']) {
            $this->fault('NOT_AUTHORISED', 'the approver may not decide this order');
        }
        $version = (int) $row['version'] + 1;
        $moment = $this->close($row, $asked->decision === 'approve' ? 'approved' : 'rejected', $asked->approver, $version);
        $id = sprintf('D-%06d', 1 + (int) $this->store->one('SELECT count(*) AS n FROM decision')['n']);
        $this->store->all('INSERT INTO decision VALUES (?,?,?,?,?,?,?)', [$id, $row['order_nr'], $asked->decision, $asked->comment ?? null, $asked->approver, $asked->requestId, $moment]);
        $this->store->all('INSERT INTO request VALUES (?,?,?,?)', [$asked->requestId, 'DecideOrder', $content, $row['order_nr']]);
        $this->journal('DecideOrder', $row['order_nr'], $version, $asked->requestId);
    }

    private function close(array $row, string $status, ?string $by, int $version): string
    {
        $now = $this->store->now();
        $this->store->all('UPDATE purchase_order SET status=?, decided_by=?, changed=?, version=? WHERE order_nr=?', [$status, $by, $now, $version, $row['order_nr']]);
        return $now;
    }

    /** The earlier request of that id; a fault if it asked for something else. */
    private function repeated(string $request, string $operation, string $content): ?array
    {
        $known = $this->store->one('SELECT * FROM request WHERE request_id=?', [$request]);
        if ($known !== null && ($known['operation'] !== $operation || $known['content'] !== $content)) {
            $this->fault('CONFLICT', 'that requestId was used for something else');
        }
        return $known;
    }

    private function save(string $nr, object $order, int $version): void
    {
        $cents = 0;
        foreach ($order->line ?? [] as $line) {
            $cents += intdiv($this->scaled($line->quantity, 3) * $this->scaled($line->unitPrice, 2) + 500, 1000);
        }
        if (isset($order->total)) {
            $this->need(empty($order->line) || $this->scaled($order->total, 2) === $cents, 'total is not the sum of the lines');
            $cents = $this->scaled($order->total, 2);
        }
        $to = isset($order->deliverTo) ? json_encode($order->deliverTo) : null;
        $urgent = isset($order->urgent) ? (int) $order->urgent : null;
        $this->store->all('DELETE FROM line WHERE order_nr=?', [$nr]);
        $values = [$nr, $order->title, $order->status, $order->requester, $order->costCentre ?? null, $order->ordered, $order->deliverBy ?? null, $to, $cents, $order->currency, $order->attachment ?? null, $urgent, null, $this->store->now(), $version];
        $this->store->all('INSERT INTO purchase_order (' . self::COLUMNS . ') VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (order_nr) DO UPDATE SET '
            . implode(',', array_map(fn ($c) => "$c=excluded.$c", explode(',', self::COLUMNS))), $values);
        foreach ($order->line ?? [] as $line) {
            $this->store->all('INSERT INTO line VALUES (?,?,?,?,?,?)', [$nr, $line->position, $line->article, $line->quantity, $line->unitPrice, $line->deliveryDate ?? null]);
        }
    }

    /** A decimal's text as a whole number of 10^-places. */
    private function scaled(mixed $text, int $places): int
    {
        $this->need(preg_match('/^(-?)(\d{1,12})(?:\.(\d{1,' . $places . '})0*)?$/', (string) $text, $part) === 1, 'a number has too many digits');
        return ($part[1] === '-' ? -1 : 1) * (int) ($part[2] . str_pad($part[3] ?? '', $places, '0'));
    }

    private function shown(array $rows): array
    {
        $lines = [];
        if ($rows !== []) {
            $numbers = array_column($rows, 'order_nr');
            $marks = implode(',', array_fill(0, count($numbers), '?'));
            foreach ($this->store->all("SELECT * FROM line WHERE order_nr IN ($marks) ORDER BY order_nr, position", $numbers) as $line) {
                $shown = ['position' => (int) $line['position'], 'article' => $line['article'], 'quantity' => $line['quantity'], 'unitPrice' => $line['unit_price']];
                $lines[$line['order_nr']][] = $line['delivery_date'] === null ? $shown : $shown + ['deliveryDate' => $line['delivery_date']];
            }
        }
        return array_map(fn ($row) => $this->order($row, $lines[$row['order_nr']] ?? []), $rows);
    }

    private function order(array $row, array $lines): array
    {
        $order = ['orderNr' => $row['order_nr'], 'title' => $row['title'], 'status' => $row['status'], 'requester' => $row['requester'], 'costCentre' => $row['cost_centre'],
            'ordered' => $row['ordered'], 'deliverBy' => $row['deliver_by'], 'line' => $lines, 'total' => sprintf('%d.%02d', intdiv((int) $row['total_cents'], 100), (int) $row['total_cents'] % 100),
            'currency' => $row['currency'], 'attachment' => $row['attachment'], 'decidedBy' => $row['decided_by'], 'changed' => $row['changed'], 'version' => (int) $row['version']];
        if ($row['deliver_to'] !== null) {
            $order['deliverTo'] = json_decode($row['deliver_to']);
        }
        if ($row['urgent'] !== null) {
            $order['urgent'] = (bool) $row['urgent'];
        }
        return $order;
    }

    private function decision(array $row): array
    {
        return ['decisionId' => $row['decision_id'], 'orderNr' => $row['order_nr'], 'decision' => $row['decision'], 'comment' => $row['comment'],
            'approver' => $row['approver'], 'requestId' => $row['request_id'], 'decided' => $row['decided']];
    }

    /** Where a list begins, and how long it may be. */
    private function position(object $asked): array
    {
        $this->need($asked->max >= 1 && $asked->max <= self::PAGE, 'max is 1 to ' . self::PAGE);
        if (($asked->cursor ?? '') !== '') {
            $this->need(substr_count($asked->cursor, '|') === 1, 'no such cursor');
            return [explode('|', $asked->cursor), $asked->max];
        }
        $since = $asked->since ?? '';
        if ($since === '') {
            return [['', ''], $asked->max];
        }
        $moment = date_create_immutable($since);
        $this->need($moment !== false, 'since is no moment');
        $utc = $moment->setTimezone(new DateTimeZone('UTC'));
        return [[$utc->format('Y-m-d\TH:i:s.u\Z'), ''], $asked->max];
    }

    private function row(string $nr): ?array
    {
        return $this->store->one('SELECT * FROM purchase_order WHERE order_nr=?', [$nr]);
    }

    private function found(string $nr): array
    {
        return $this->row($nr) ?? $this->fault('NOT_FOUND', 'no such order');
    }

    private function current(array $row, mixed $expected): void
    {
        if ((int) $row['version'] !== (int) $expected) {
            $this->fault('CONFLICT', 'the order has another version');
        }
    }

    private function need(bool $holds, string $words): void
    {
        if (!$holds) {
            $this->fault('INVALID', $words);
        }
    }

    private function journal(string $operation, string $nr, int $version, ?string $request): void
    {
        $this->store->all('INSERT INTO journal (at, operation, order_nr, version, request_id, account) VALUES (?,?,?,?,?,?)', [gmdate('Y-m-d\TH:i:s\Z'), $operation, $nr, $version, $request, $this->account]);
    }

    private function fault(string $code, string $words, bool $retryable = false): never
    {
        throw new SoapFault($retryable ? 'Server' : 'Client', $words, null, (object) ['OrderFault' => (object) ['code' => $code, 'retryable' => $retryable]], 'OrderFault');
    }
}
