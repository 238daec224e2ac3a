<?php
declare(strict_types=1);

/** The ERP's database: one SQLite file, one write transaction at a time. */
final class Store
{
    private PDO $db;

    public function __construct(string $file)
    {
        $this->db = new PDO("sqlite:$file", null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC]);
        $this->db->exec('PRAGMA busy_timeout=10000; PRAGMA foreign_keys=ON; PRAGMA synchronous=NORMAL');
    }

    public function all(string $sql, array $values = []): array
    {
        $query = $this->db->prepare($sql);
        foreach (array_values($values) as $i => $value) {
            $query->bindValue($i + 1, $value, is_int($value) ? PDO::PARAM_INT : ($value === null ? PDO::PARAM_NULL : PDO::PARAM_STR));
        }
        $query->execute();
        return $query->fetchAll();
    }

    public function one(string $sql, array $values = []): ?array
    {
        return $this->all($sql, $values)[0] ?? null;
    }

    /** Run in one transaction: all of it happens, or nothing. */
    public function transaction(callable $work): mixed
    {
        $this->db->exec('BEGIN IMMEDIATE');
        try {
            $result = $work();
            $this->db->exec('COMMIT');
            return $result;
        } catch (Throwable $problem) {
            $this->db->exec('ROLLBACK');
            throw $problem;
        }
    }

    /** A moment that no earlier transaction has used, in UTC with microseconds. */
    public function now(): string
    {
        $now = (new DateTimeImmutable('now', new DateTimeZone('UTC')))->format('Y-m-d\TH:i:s.u\Z');
        $last = $this->one('SELECT max(changed) AS m FROM purchase_order')['m'] ?? '';
        if (strcmp($now, (string) $last) > 0) {
            return $now;
        }
        return (new DateTimeImmutable($last))->modify('+1 usec')->format('Y-m-d\TH:i:s.u\Z');
    }
}
