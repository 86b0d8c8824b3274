<?php
// The same backend in plain PHP: php -S localhost:3000 server.php, after npx bun build index.html --outdir=dist
// A Laravel app needs none of this code: its BroadcastController and its pusher driver do the same.

$gateway = getenv('GATEWAY') ?: 'http://localhost:8080';
$key = 'shop-key';
$secret = 'shop-secret-of-the-example';

/** Publishes an event with the signature of the Pusher HTTP API. */
function trigger(string $channel, string $event, array $data): bool
{
    global $gateway, $key, $secret;
    $body = json_encode(['name' => $event, 'channels' => [$channel], 'data' => json_encode($data)]);
    $query = http_build_query([
        'auth_key' => $key,
        'auth_timestamp' => time(),
        'auth_version' => '1.0',
        'body_md5' => md5($body),
    ]);
    $signature = hash_hmac('sha256', "POST\n/apps/1/events\n$query", $secret);
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/json',
        'content' => $body,
    ]]);
    return file_get_contents("$gateway/apps/1/events?$query&auth_signature=$signature", false, $context) !== false;
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$post = $_SERVER['REQUEST_METHOD'] === 'POST';

if ($path === '/gateway') {
    echo $gateway;
} elseif ($post && $path === '/broadcasting/auth') {
    // routes/channels.php: may whoever asks follow this order?
    $channel = $_POST['channel_name'] ?? '';
    $socket = $_POST['socket_id'] ?? '';
    if (!preg_match('/^private-orders\.[1-9]\d*$/D', $channel) || !preg_match('/^\d+\.\d+$/D', $socket)) {
        http_response_code(403);
        return;
    }
    header('Content-Type: application/json');
    echo json_encode(['auth' => $key . ':' . hash_hmac('sha256', "$socket:$channel", $secret)]);
} elseif ($post && preg_match('#^/orders/([1-9]\d*)/ship$#D', $path, $match)) {
    // broadcast(new OrderShipped($order)) in a controller.
    $sent = trigger("private-orders.$match[1]", 'App\\Events\\OrderShipped', ['status' => 'shipped']);
    http_response_code($sent ? 204 : 502);
} elseif ($path === '/') {
    readfile(__DIR__ . '/dist/index.html');
} elseif (preg_match('#^/[\w-]+\.js$#D', $path) && is_file(__DIR__ . "/dist$path")) {
    header('Content-Type: text/javascript');
    readfile(__DIR__ . "/dist$path");
} else {
    http_response_code(404);
}
