#include "controlplane/compiler/overlay_section.hpp"

#include "controlplane/compiler/section_writer.hpp"

namespace sluice::cp {

SectionContent write_overlay(const OverlayContent& content) {
    SectionWriter<abi::OverlaySection> out{abi::SectionKind::overlay};
    std::vector<abi::RuleRecord> records;
    for (auto [record, id] : content.rules) {
        record.id = out.add_text(id);
        records.push_back(record);
    }
    out.section.hidden = out.put(content.hidden);
    out.section.rules = out.put(records);
    out.section.places = out.put(content.places);
    for (std::size_t i = 0; i < content.tables.size(); ++i) out.section.tables[i] = out.put_lines(content.tables[i]);
    out.section.text = out.put_text();
    return out.finish();
}

SectionContent write_no_overlay() { return write_overlay({}); }

}  // namespace sluice::cp
