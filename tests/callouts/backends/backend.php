<?php
// The same backend as a page of PHP, as the interpreter's own web server runs it (php -S host:port backend.php).

function answer(string $event, array $asked, array $headers): ?array
{
    $now = time();
    switch ($event) {
        case 'connect':
            $shown = ($headers['cookie'] ?? '') . ' ' . ($headers['authorization'] ?? '');
            if (!preg_match('/session=ann|Bearer ann/', $shown)) {
                return ['disconnect' => ['code' => 4501, 'reason' => 'who?']];
            }
            return ['result' => [
                'user' => 'ann',
                'expire_at' => $now + 2,
                'info' => ['name' => 'Ann'],
                'data' => ['hello' => 'ann'],
                'meta' => ['plan' => 'pro'],
            ]];
        case 'refresh':
            return ($asked['meta']['plan'] ?? '') === 'pro'
                ? ['result' => ['expire_at' => $now + 3600]]
                : ['result' => ['expired' => true]];
        case 'subscribe':
            if ($asked['channel'] === 'asked:plain') {
                return ['result' => []]; // which PHP writes as a list
            }
            return $asked['channel'] === 'asked:open'
                ? ['result' => ['info' => ['seat' => 7], 'data' => ['welcome' => true], 'expire_at' => $now + 2]]
                : ['error' => ['code' => 403, 'message' => 'closed']];
        case 'sub_refresh':
            return ['result' => ['expired' => true]];
        case 'publish':
            $text = $asked['data']['text'];
            return $text === 'bad'
                ? ['error' => ['code' => 400, 'message' => 'no']]
                : ['result' => ['data' => ['text' => strtoupper($text), 'by' => $asked['user']]]];
        case 'rpc':
            return $asked['method'] === 'sum'
                ? ['result' => ['data' => ['sum' => $asked['data']['a'] + $asked['data']['b']]]]
                : null;
        default:
            return null;
    }
}

$headers = array_change_key_case(getallheaders());
$asked = json_decode(file_get_contents('php://input'), true) ?? [];
$answer = answer(trim($_SERVER['REQUEST_URI'], '/'), $asked, $headers);
http_response_code($answer === null ? 500 : 200);
header('Content-Type: application/json');
echo json_encode($answer);
