# The same backend in plain Ruby: sockets and JSON. Prints its port.

require "json"
require "socket"

def answer(event, asked, headers)
  now = Time.now.to_i
  case event
  when "connect"
    shown = "#{headers["cookie"]} #{headers["authorization"]}"
    return { disconnect: { code: 4501, reason: "who?" } } unless shown.match?(/session=ann|Bearer ann/)

    { result: { user: "ann", expire_at: now + 2, info: { name: "Ann" }, data: { hello: "ann" }, meta: { plan: "pro" } } }
  when "refresh"
    asked.dig("meta", "plan") == "pro" ? { result: { expire_at: now + 3600 } } : { result: { expired: true } }
  when "subscribe"
    return { result: {} } if asked["channel"] == "asked:plain"
    return { error: { code: 403, message: "closed" } } if asked["channel"] != "asked:open"

    { result: { info: { seat: 7 }, data: { welcome: true }, expire_at: now + 2 } }
  when "sub_refresh"
    { result: { expired: true } }
  when "publish"
    text = asked["data"]["text"]
    return { error: { code: 400, message: "no" } } if text == "bad"

    { result: { data: { text: text.upcase, by: asked["user"] } } }
  when "rpc"
    asked["method"] == "sum" ? { result: { data: { sum: asked["data"]["a"] + asked["data"]["b"] } } } : nil
  end
end

def serve(client)
  while (line = client.gets)
    event = line.split[1].delete_prefix("/")
    headers = {}
    while (header = client.gets.chomp) != ""
      name, value = header.split(": ", 2)
      headers[name.downcase] = value
    end
    said = answer(event, JSON.parse(client.read(headers["content-length"].to_i)), headers)
    content = JSON.generate(said)
    status = said.nil? ? "500 Internal Server Error" : "200 OK"
    client.write("HTTP/1.1 #{status}\r\nContent-Type: application/json\r\nContent-Length: #{content.bytesize}\r\n\r\n#{content}")
  end
rescue Errno::ECONNRESET, Errno::EPIPE
  nil
ensure
  client.close
end

server = TCPServer.new("127.0.0.1", 0)
puts server.addr[1]
$stdout.flush
loop { Thread.new(server.accept) { |client| serve(client) } }
