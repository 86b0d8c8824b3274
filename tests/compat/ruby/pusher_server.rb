# frozen_string_literal: true

# Runs the stock Pusher server SDK for Ruby for the compatibility tests.

require "json"
require "pusher"

$stdout.sync = true

def webhook(pusher, ask)
  found = pusher.webhook({ key: ask["key"], signature: ask["signature"], body: ask["body"] })
  { valid: found.valid?, events: found.valid? ? found.events : [] }
end

def query(ask)
  query = {}
  query[:filter_by_prefix] = ask["prefix"] if ask["prefix"]
  query[:info] = ask["info"].join(",") if ask["info"]&.any?
  query
end

def member(ask)
  ask["member"]&.transform_keys(&:to_sym)
end

def act(pusher, ask)
  case ask["do"]
  when "trigger"
    params = ask["socket"] ? { socket_id: ask["socket"] } : {}
    params[:info] = ask["info"].join(",") if ask["info"]&.any?
    pusher.trigger(ask["channels"], ask["name"], ask["data"], params)
  when "batch"
    pusher.trigger_batch(ask["events"].map { |one| one.transform_keys(&:to_sym) })
  when "channels" then pusher.channels(query(ask))
  when "channel" then pusher.channel_info(ask["channel"], query(ask))
  when "users" then pusher.channel_users(ask["channel"])
  when "terminate" then pusher.post("/users/#{ask["user"]}/terminate_connections")
  when "authorize" then pusher.authenticate(ask["channel"], ask["socket"], member(ask))
  when "authenticate" then pusher.authenticate_user(ask["socket"], ask["userData"].transform_keys(&:to_sym))
  when "webhook" then webhook(pusher, ask)
  else raise ArgumentError, "unknown command #{ask["do"]}"
  end
end

pusher = nil
$stdin.each_line do |line|
  ask = JSON.parse(line)
  begin
    if ask["do"] == "new"
      pusher = Pusher::Client.new(
        app_id: ask["app"], key: ask["key"], secret: ask["secret"],
        host: ask["host"], port: ask["port"], use_tls: false
      )
      result = {}
    else
      result = act(pusher, ask)
    end
    puts JSON.generate(id: ask["id"], result: result)
  rescue StandardError => error # whatever the SDK raises is the answer
    puts JSON.generate(id: ask["id"], error: { code: 0, message: error.message })
  end
end
