/// libFuzzer target for sluicectl's reader of server-sent events: event_stream_fuzz [-max_total_time=60] CORPUS_DIR.
/// Input: one byte of piece length, then the text. However it is cut into pieces, the same events come out.
#include "tests/fuzz/input.hpp"
#include "tools/sluicectl/event_stream.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    test::Input in{data, size};
    const std::size_t piece_bytes = 1 + in.byte() % 16U;
    const std::string_view text = in.text();
    ctl::EventStreamReader whole, cut;
    const auto expected = whole.feed(text);
    std::vector<ctl::ServerEvent> got;
    for (std::size_t at = 0; at < text.size(); at += piece_bytes) {
        for (auto& event : cut.feed(text.substr(at, piece_bytes))) got.push_back(std::move(event));
    }
    test::must(got.size() == expected.size(), "as many events in pieces as in one");
    for (std::size_t i = 0; i < got.size(); ++i) {
        test::must(got[i].id == expected[i].id && got[i].type == expected[i].type && got[i].data == expected[i].data,
                   "the same events in pieces as in one");
    }
    return 0;
}
