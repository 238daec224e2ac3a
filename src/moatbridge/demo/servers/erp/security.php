<?php
declare(strict_types=1);

/** WS-Security UsernameToken Profile 1.1.1: text and digest passwords; a nonce is good once, for five minutes. */
final class Security
{
    private const NS = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd';
    private const UTILITY = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd';
    private const AGE = 300;

    public function __construct(private Store $store)
    {
    }

    /** Who sent this message; a fault if nobody we know. */
    public function account(string $raw): string
    {
        $document = new DOMDocument();
        if (!@$document->loadXML($raw, LIBXML_NONET) || $document->doctype !== null) {
            $this->refuse();
        }
        $path = new DOMXPath($document);
        $path->registerNamespace('w', self::NS);
        $path->registerNamespace('u', self::UTILITY);
        $token = $path->query('/*/*[local-name()="Header"]/w:Security/w:UsernameToken')->item(0) ?? $this->refuse();
        $name = $path->evaluate('string(w:Username)', $token);
        $given = $path->evaluate('string(w:Password)', $token);
        $known = $this->store->one('SELECT password FROM account WHERE name=?', [$name])['password'] ?? null;
        if ($known === null) {
            $this->refuse();
        }
        $expected = $known;
        if (str_ends_with($path->evaluate('string(w:Password/@Type)', $token), '#PasswordDigest')) {
            $expected = $this->digest($path, $token, $known);
        }
        if (!hash_equals($expected, $given)) {
            $this->refuse();
        }
        return $name;
    }

    private function digest(DOMXPath $path, DOMNode $token, string $password): string
    {
        $nonce = $path->evaluate('string(w:Nonce)', $token);
        $created = $path->evaluate('string(u:Created)', $token);
        $time = strtotime($created);
        if ($nonce === '' || $time === false || abs(time() - $time) > self::AGE) {
            $this->refuse();
        }
        try {
            $this->store->all('INSERT INTO nonce (nonce, created) VALUES (?, ?)', [$nonce, $created]);
        } catch (PDOException) {
            $this->refuse();
        }
        return base64_encode(sha1(base64_decode($nonce) . $created . $password, true));
    }

    private function refuse(): never
    {
        throw new SoapFault([self::NS, 'FailedAuthentication'], 'The security token could not be authenticated');
    }
}
