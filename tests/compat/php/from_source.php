<?php
// Loads the SDK from a copy of its repository (TRUNKLINE_COMPAT_SOURCES) where Composer cannot fetch it, beside Debian's
// packages of what it needs.
declare(strict_types=1);

require 'GuzzleHttp/autoload.php';
require 'Psr/Log/autoload.php';

spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, 'Pusher\\')) {
        require getenv('TRUNKLINE_COMPAT_SDK') . '/src/' . substr($class, strlen('Pusher\\')) . '.php';
    }
});
