<?php
// Runs the stock Pusher server SDK for PHP for the compatibility tests. The first argument is the file that loads it.
declare(strict_types=1);

require $argv[1];

use Pusher\Pusher;

/** Answers one command. */
function act(array $ask, ?Pusher &$pusher): mixed
{
    switch ($ask['do']) {
        case 'new':
            $pusher = new Pusher($ask['key'], $ask['secret'], $ask['app'], [
                'host' => $ask['host'],
                'port' => $ask['port'],
                'scheme' => 'http',
                'useTLS' => false,
                'encryption_master_key_base64' => $ask['masterKey'],
            ]);
            return null;
        case 'trigger':
            $params = isset($ask['socket']) ? ['socket_id' => $ask['socket']] : [];
            if (!empty($ask['info'])) $params['info'] = implode(',', $ask['info']);
            return $pusher->trigger($ask['channels'], $ask['name'], $ask['data'], $params);
        case 'batch':
            return $pusher->triggerBatch($ask['events']);
        case 'sendToUser':
            return $pusher->sendToUser($ask['user'], $ask['name'], $ask['data']);
        case 'terminate':
            return $pusher->terminateUserConnections($ask['user']);
        default:
            return look($ask, $pusher);
    }
}

/** Answers what changes nothing. */
function look(array $ask, Pusher $pusher): mixed
{
    $params = [];
    if (!empty($ask['info'])) $params['info'] = implode(',', $ask['info']);
    if (isset($ask['prefix'])) $params['filter_by_prefix'] = $ask['prefix'];
    switch ($ask['do']) {
        case 'channels':
            return $pusher->getChannels($params);
        case 'channel':
            return $pusher->getChannelInfo($ask['channel'], $params);
        case 'users':
            return $pusher->getPresenceUsers($ask['channel']);
        case 'authorize':
            $member = $ask['member'] ?? null;
            return json_decode($member
                ? $pusher->authorizePresenceChannel($ask['channel'], $ask['socket'], $member['user_id'], $member['user_info'])
                : $pusher->authorizeChannel($ask['channel'], $ask['socket']));
        case 'authenticate':
            return json_decode($pusher->authenticateUser($ask['socket'], $ask['userData']));
        case 'webhook':
            $headers = ['X-Pusher-Key' => $ask['key'], 'X-Pusher-Signature' => $ask['signature']];
            try {
                return ['valid' => true, 'events' => $pusher->webhook($headers, $ask['body'])->get_events()];
            } catch (\Pusher\PusherException $error) {
                return ['valid' => false, 'events' => []];
            }
    }
    throw new InvalidArgumentException("unknown command {$ask['do']}");
}

$pusher = null;
while (($line = fgets(STDIN)) !== false) {
    $ask = json_decode($line, true);
    try {
        $said = ['id' => $ask['id'], 'result' => act($ask, $pusher) ?? new stdClass()];
    } catch (\Throwable $error) { // whatever the SDK throws is the answer
        $said = ['id' => $ask['id'], 'error' => ['code' => $error->getCode(), 'message' => $error->getMessage()]];
    }
    fwrite(STDOUT, json_encode($said) . "\n");
}
