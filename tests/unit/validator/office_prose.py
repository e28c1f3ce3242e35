"""Office prose as Vietnamese agencies write it, each paragraph with what it speaks of: none may raise an alarm.

Written for these tests; no agency's real report is here.
"""

from __future__ import annotations

from shared.contract.events.registry import NarrativeRole

R: NarrativeRole = "results"
A: NarrativeRole = "assessment"
C: NarrativeRole = "causes"
P: NarrativeRole = "proposals"

GOOD: tuple[tuple[str, tuple[NarrativeRole, ...]], ...] = (
    (
        "Trong kỳ, UBND xã đã tiếp nhận 312 hồ sơ, giải quyết 298 hồ sơ, trong đó đúng và trước hạn 291 hồ "
        "sơ, đạt 97,6%; còn 14 hồ sơ đang giải quyết trong hạn. Không có phản ánh, kiến nghị của công dân về "
        "thái độ phục vụ.",
        (R, A),
    ),
    (
        "Thu ngân sách nhà nước trên địa bàn lũy kế đến ngày 14/9/2026 đạt 12,35 tỷ đồng, bằng 71,4% dự toán "
        "tỉnh giao, tăng 8,2% so với cùng kỳ. Các khoản thu từ đất chậm do thị trường bất động sản trầm lắng.",
        (R, A, C),
    ),
    (
        "Tồn tại: việc số hóa hồ sơ, kết quả giải quyết TTHC còn chậm. Nguyên nhân: máy quét hỏng chưa được "
        "thay thế, cán bộ kiêm nhiệm nhiều việc. Kiến nghị Sở KH&CN cấp bổ sung 02 máy quét trong Quý "
        "IV/2026.",
        (A, C, P),
    ),
    (
        "1. Kết quả đạt được: hoàn thành 18/20 nhiệm vụ được giao.\n2. Hạn chế: 02 nhiệm vụ quá hạn (NV-07, "
        "NV-15).\n3. Nguyên nhân: chờ ý kiến của sở chuyên ngành.\n4. Kiến nghị: cho lùi thời hạn đến "
        "30/10/2026.",
        (R, A, C, P),
    ),
    (
        "Công tác giảm nghèo được quan tâm chỉ đạo; đến cuối kỳ toàn xã còn 47 hộ nghèo (2,1%), giảm 12 hộ so "
        "với đầu năm. Tuy nhiên một số hộ thiếu đất sản xuất, lao động thiếu việc làm ổn định nên nguy cơ tái "
        "nghèo còn cao.",
        (R, A, C),
    ),
    (
        "Đã ban hành Kế hoạch số 45/KH-UBND ngày 12/02/2026 về cải cách hành chính; tổ chức 02 lớp tập huấn "
        "sử dụng Cổng Dịch vụ công quốc gia cho 86 lượt người. Tỷ lệ nộp hồ sơ trực tuyến toàn trình đạt "
        "83,33%.",
        (R,),
    ),
    (
        "Giải ngân vốn đầu tư công 9 tháng đạt 45,6 tỷ đồng (bằng 58,9% kế hoạch), thấp hơn mức bình quân "
        "chung của tỉnh. Vướng mắc chủ yếu ở khâu GPMB đường ĐT.782 và giá vật liệu đắp nền tăng cao.",
        (R, A),
    ),
    (
        "Dự án Trường THCS Nguyễn Trãi chậm tiến độ do nhà thầu thiếu nhân lực; chủ đầu tư đã lập biên bản, "
        "yêu cầu tăng ca và sẽ xử lý theo hợp đồng nếu đến 30/11 không đạt 80% khối lượng.",
        (A, C, P),
    ),
    (
        "Tình hình an ninh chính trị, trật tự an toàn xã hội cơ bản ổn định. Xảy ra 03 vụ trộm cắp tài sản, "
        "đã làm rõ 02 vụ, 02 đối tượng; tai nạn giao thông 01 vụ, 01 người bị thương nhẹ, không có người "
        "chết.",
        (R, A),
    ),
    (
        "Đề nghị UBND tỉnh: (i) sớm phê duyệt phương án sắp xếp trụ sở dôi dư; (ii) bổ sung 350 triệu đồng "
        "kinh phí sửa chữa trụ sở; (iii) cho chủ trương hợp đồng 02 lao động hỗ trợ bộ phận một cửa.",
        (P,),
    ),
    (
        "Vụ Hè Thu gieo sạ được 1.245 ha lúa, đạt 102% KH; năng suất ước 58,7 tạ/ha. Rầy nâu gây hại cục bộ "
        "15 ha, đã phun trừ kịp thời. Giá lúa tươi IR50404 tại ruộng 6.200–6.400 đ/kg.",
        (R,),
    ),
    (
        "Công tác tiếp công dân: tiếp 27 lượt/31 người; nhận 19 đơn (16 đơn kiến nghị, phản ánh; 03 đơn khiếu "
        "nại), đủ điều kiện xử lý 17 đơn, đã giải quyết 15 đơn. Không phát sinh đoàn đông người.",
        (R,),
    ),
    (
        "Nguyên nhân khách quan: dữ liệu đất đai sau sáp nhập chưa đồng bộ giữa VBDLIS và hệ thống một cửa. "
        "Nguyên nhân chủ quan: một số công chức chưa chủ động cập nhật tiến độ, còn để hồ sơ quá hạn trên "
        "phần mềm.",
        (A, C),
    ),
    (
        "Tuần qua Văn phòng tham mưu 14 văn bản chỉ đạo, phục vụ 05 cuộc họp của Thường trực UBND. Tuần tới "
        "tập trung: hoàn thiện báo cáo KT-XH quý III; chuẩn bị hội nghị giao ban với các xã; rà soát nhiệm vụ "
        "quá hạn.",
        (R, P),
    ),
    (
        "Chuyển đổi số: 100% văn bản đi được ký số trên hệ thống eOffice; 11/11 thôn có Tổ công nghệ số cộng "
        "đồng. Khó khăn: sóng 4G yếu tại thôn Đắk R'lấp và Buôn Ea H'leo; nhiều người cao tuổi chưa có "
        "smartphone.",
        (R, A),
    ),
    (
        "Kết quả rà soát cho thấy 6 thủ tục có thể cắt giảm thời gian giải quyết từ 15 ngày xuống còn 10 ngày "
        "làm việc; đã gửi Sở Tư pháp thẩm định theo Nghị định số 63/2010/NĐ-CP và Thông tư số "
        "02/2017/TT-VPCP.",
        (R,),
    ),
    (
        "Bão số 5 gây mưa to từ đêm 24 đến 26/8, làm ngập 37 nhà dân, sạt lở 120 m kè, ước thiệt hại 1,8 tỷ "
        "đồng. Xã đã di dời 22 hộ/81 khẩu đến nơi an toàn, huy động 145 người khắc phục, không để ai bị đói, "
        "rét.",
        (R,),
    ),
    (
        "Rét đậm kéo dài, nhiệt độ có nơi xuống 4°C; toàn xã chết 17 con trâu, bò (chủ yếu bê, nghé). Đã cấp "
        "phát bạt che chuồng, vận động dự trữ rơm, không thả rông gia súc; tiếp tục theo dõi, báo cáo hằng "
        "ngày.",
        (R, P),
    ),
    (
        "Nhìn chung các chỉ tiêu cơ bản đạt và vượt kế hoạch; riêng chỉ tiêu thu sự nghiệp đạt thấp vì Trạm Y "
        "tế tạm dừng thu viện phí trong thời gian chờ bàn giao về Sở Y tế.",
        (R, A, C),
    ),
    (
        "Thời gian tới, UBND phường tiếp tục đẩy mạnh tuyên truyền DVCTT, phấn đấu tỷ lệ hồ sơ trực tuyến "
        "trên 90%; kiểm tra công vụ đột xuất mỗi tháng ít nhất một lần; công khai xin lỗi đối với 100% hồ sơ "
        "quá hạn.",
        (P,),
    ),
    (
        "Bảng tổng hợp:\nLĩnh vực\tTiếp nhận\tĐúng hạn\tQuá hạn\nĐất đai\t120\t108\t12\nHộ "
        "tịch\t95\t95\t0\nChứng thực\t210\t210\t0\nLĩnh vực đất đai quá hạn nhiều do phải lấy ý kiến Chi "
        "nhánh Văn phòng ĐKĐĐ.",
        (R, C),
    ),
    (
        "| Chỉ tiêu | KH | TH | % |\n|---|---|---|---|\n| Trồng rừng (ha) | 50 | 42 | 84 |\n| BHYT (%) | 95 | "
        "93,7 | 98,6 |\nHai chỉ tiêu chưa đạt kế hoạch vì cây giống về muộn và một bộ phận người dân hết thời "
        "hạn hỗ trợ đóng BHYT.",
        (R, A, C),
    ),
    (
        "- Giáo dục: 03/03 trường đạt chuẩn quốc gia mức độ 1; huy động trẻ 5 tuổi ra lớp 100%.\n- Y tế: tiêm "
        "chủng đầy đủ cho 98,2% trẻ dưới 1 tuổi; sốt xuất huyết 07 ca, giảm 11 ca.\n- Văn hóa: 92% hộ đạt "
        "danh hiệu văn hóa.",
        (R,),
    ),
    (
        "Phối hợp với Công ty CP Cấp nước, Viettel, VNPT và Ngân hàng Agribank triển khai thanh toán không "
        "dùng tiền mặt tại bộ phận một cửa; trong kỳ có 64,5% giao dịch phí, lệ phí thực hiện qua QR code.",
        (R,),
    ),
    (
        "Dự án do WB tài trợ (Mekong Delta Integrated Climate Resilience, MD-ICRSL) đã giải ngân 1.250.000 "
        "USD; chuyên gia Hans Müller và bà Françoise Lefèvre làm việc tại hiện trường từ 03 đến 07/8.",
        (R,),
    ),
    (
        "Hội thảo “Smart City – Đô thị thông minh” có 150 đại biểu tham dự, gồm KOICA, JICA và ĐH Bách khoa "
        "Hà Nội; ghi nhận 12 tham luận, 05 đề xuất hợp tác, trong đó có đề án điện mặt trời áp mái 2 MWp.",
        (R,),
    ),
    (
        "Không phát sinh vụ việc khiếu nại, tố cáo kéo dài. Không phát sinh điểm nóng về đất đai, môi trường. "
        "Công tác hòa giải ở cơ sở được duy trì, hòa giải thành 6/7 vụ.",
        (R,),
    ),
    (
        "Thực hiện Chỉ thị số 34/CT-TTg ngày 27/12/2025 của Thủ tướng Chính phủ, xã đã kiểm tra 23 cơ sở kinh "
        "doanh pháo, thuốc nổ, xăng dầu; nhắc nhở 04 cơ sở, xử phạt VPHC 01 cơ sở số tiền 7.500.000 đồng.",
        (R,),
    ),
    (
        "Tỷ lệ hài lòng của người dân đạt 94,12% (khảo sát 170 phiếu). Các ý kiến chưa hài lòng tập trung vào "
        "thời gian chờ và chỗ để xe; UBND phường sẽ bố trí thêm bàn hướng dẫn và mở rộng nhà xe trong tháng "
        "11.",
        (R, A, P),
    ),
    (
        "Sau khi vận hành chính quyền địa phương 2 cấp, khối lượng công việc tăng khoảng 2,5 lần nhưng biên "
        "chế chỉ được giao 32/38, dẫn đến quá tải ở lĩnh vực địa chính – xây dựng. Đề nghị sớm bổ sung biên "
        "chế.",
        (A, C, P),
    ),
    (
        "Báo cáo bằng số: nhiệm vụ giao 41; hoàn thành đúng hạn 36; hoàn thành quá hạn 2; chưa hoàn thành 3 "
        "(trong hạn 2, quá hạn 1). Nhiệm vụ quá hạn là đề án vị trí việc làm, lý do: chờ hướng dẫn của Bộ Nội "
        "vụ.",
        (R, A, C),
    ),
    (
        "CÔNG TÁC CẢI CÁCH HÀNH CHÍNH: ĐÃ HOÀN THÀNH 100% KẾ HOẠCH. TỒN TẠI: TRANG THÔNG TIN ĐIỆN TỬ CẬP NHẬT "
        "CHƯA KỊP THỜI. GIẢI PHÁP: PHÂN CÔNG ĐẦU MỐI, KIỂM TRA HẰNG TUẦN.",
        (R, A, P),
    ),
    (
        "Ưu điểm: cán bộ, công chức chấp hành nghiêm giờ giấc làm việc. Khuyết điểm: 02 công chức đi làm "
        "muộn, đã nhắc nhở trước cơ quan. Không có công chức vi phạm đến mức phải xử lý kỷ luật.",
        (R, A),
    ),
    (
        "Giá trị sản xuất CN-TTCN ước đạt 86,4 tỷ đồng, tăng 5,1%. Một số doanh nghiệp may mặc thiếu đơn hàng "
        "quý IV nên cho công nhân nghỉ luân phiên; đã phối hợp LĐLĐ tỉnh nắm tình hình, hỗ trợ 214 lao động.",
        (R, C),
    ),
    (
        "Nước sạch: 2.146/2.301 hộ dùng nước hợp vệ sinh (93,3%). Công trình cấp nước thôn Bản Pẻo xuống cấp, "
        "máy bơm hỏng từ tháng 6. Kiến nghị Trung tâm Nước sạch & VSMTNT hỗ trợ 180 triệu đồng sửa chữa.",
        (R, A, P),
    ),
    (
        "Môi trường: thu gom 3,2 tấn rác/ngày, tỷ lệ thu gom 91%; bãi rác Gò Me quá tải, phát sinh mùi. Xã đề "
        "xuất tỉnh sớm đầu tư trạm trung chuyển, trước mắt phun EM 2 lần/tuần và tăng chuyến vận chuyển.",
        (R, A, P),
    ),
    (
        "Dân số KHHGĐ: sinh 41 cháu (nam 22, nữ 19), tỷ lệ sinh con thứ 3 trở lên 7,3%. Cấp 1.120 thẻ BHYT "
        "cho trẻ em; lập 100% sổ quản lý sức khỏe điện tử cho học sinh khối 1.",
        (R,),
    ),
    (
        "Về chính sách: chi trả trợ cấp BTXH tháng 9 cho 512 đối tượng với 412.560.000 đồng, trong đó qua tài "
        "khoản 78%. Còn 03 trường hợp thay đổi nơi cư trú chưa kịp điều chỉnh hồ sơ.",
        (R, A),
    ),
    (
        "Kỳ này không có khó khăn, vướng mắc lớn. Cơ quan tiếp tục duy trì nền nếp giao ban sáng thứ Hai, cập "
        "nhật nhiệm vụ lên phần mềm và chế độ báo cáo đúng hạn.",
        (A, P),
    ),
    (
        "Xây dựng NTM: đạt 17/19 tiêu chí; 02 tiêu chí chưa đạt là Giao thông (đường trục thôn cứng hóa 71%) "
        "và Tổ chức sản xuất. Lộ trình: hoàn thành tiêu chí Giao thông trong quý II/2027 bằng nguồn vốn "
        "CTMTQG và dân góp.",
        (R, A, P),
    ),
    (
        "Vốn ODA: chưa giải ngân được do hiệp định vay mới có hiệu lực từ 01/8; đã trình Sở Tài chính phương "
        "án điều chuyển 4.500 triệu đồng sang dự án có khả năng hấp thụ tốt hơn.",
        (R, A, C),
    ),
    (
        "Thanh tra, kiểm tra: thực hiện 02/02 cuộc theo kế hoạch; phát hiện sai phạm 38,7 triệu đồng, thu hồi "
        "nộp NSNN 38,7 triệu đồng (100%); kiến nghị rút kinh nghiệm 03 tập thể, 05 cá nhân.",
        (R,),
    ),
    (
        "Phòng cháy: tổ chức tuyên truyền cho 1.200 hộ; lắp 64 bộ báo cháy liên gia. Xảy ra 01 vụ cháy bếp do "
        "bất cẩn khi đun nấu, thiệt hại 15 triệu đồng, không có thương vong.",
        (R, C),
    ),
    (
        "Nhờ làm tốt công tác dân vận, 46 hộ dân đã tự nguyện hiến 3.850 m2 đất mở rộng đường liên thôn (trị "
        "giá khoảng 2,1 tỷ đồng). Tiến độ thi công vượt kế hoạch 20 ngày.",
        (R, A, C),
    ),
    (
        "Đến hết kỳ báo cáo, còn tồn 27 hồ sơ cấp GCNQSDĐ lần đầu; lý do: tranh chấp ranh giới (9), thiếu "
        "giấy tờ nguồn gốc (13), chờ quy hoạch phân khu (5). Dự kiến giải quyết dứt điểm trước 15/12.",
        (A, C),
    ),
    (
        "Đánh giá chung: kết quả khá toàn diện; kỷ luật, kỷ cương hành chính được siết chặt. Hạn chế lớn nhất "
        "vẫn là chất lượng tham mưu của một số phòng chuyên môn chưa đáp ứng yêu cầu nhiệm vụ mới.",
        (R, A),
    ),
    (
        "Khắc phục hồ sơ quá hạn: (1) rà soát, phân loại từng hồ sơ; (2) họp giao ban một cửa chiều thứ Sáu; "
        "(3) người đứng đầu ký thư xin lỗi; (4) không xét thi đua đối với công chức để quá hạn từ 3 hồ sơ trở "
        "lên.",
        (P,),
    ),
    (
        "Việc quá hạn tập trung ở lĩnh vực xây dựng (08/11 hồ sơ) vì phải chờ kết quả thẩm duyệt PCCC. Phường "
        "đã có Công văn số 512/UBND-KT gửi Phòng Cảnh sát PCCC đề nghị trả lời trước ngày 25 hằng tháng.",
        (R, C, P),
    ),
    (
        "Quốc phòng: hoàn thành huấn luyện dân quân 2 đợt, quân số 98,5%; tuyển chọn, gọi công dân nhập ngũ "
        "năm 2027: sơ tuyển 143, đủ điều kiện khám 96. Chưa có trường hợp chống lệnh.",
        (R,),
    ),
    (
        "Theo TT 01/2011/TT-BNV, thể thức văn bản của xã còn sai sót (thiếu căn cứ, sai font Times New Roman "
        "14). Đã tự kiểm tra 120 văn bản, sửa 09 văn bản và tổ chức tập huấn cho 18 người.",
        (R, A),
    ),
    (
        "Kết quả PAR INDEX năm trước: 78,42 điểm, xếp 41/96 xã. Tiêu chí mất điểm: số hóa hồ sơ, thanh toán "
        "trực tuyến, mức độ hài lòng. Năm nay phấn đấu tăng tối thiểu 10 bậc.",
        (R, A, P),
    ),
    (
        "Ngày hội Đại đoàn kết được tổ chức ở 9/9 khu dân cư, tặng 54 suất quà (500.000 đồng/suất) cho hộ "
        "nghèo; xã hội hóa được 61,5 triệu đồng. Không khí vui tươi, tiết kiệm.",
        (R,),
    ),
    (
        "Do ảnh hưởng của dịch tả lợn châu Phi, tổng đàn giảm 230 con; đã tiêu hủy 41 con (2.870 kg). Đề xuất "
        "tỉnh hỗ trợ hóa chất và có chính sách tái đàn cho hộ chăn nuôi nhỏ lẻ.",
        (R, A, C, P),
    ),
    (
        "Du lịch: đón 12.400 lượt khách (khách quốc tế 860), doanh thu ước 5,3 tỷ đồng; homestay “Nhà Lá” đạt "
        "chuẩn ASEAN. Còn thiếu bãi đỗ xe, biển chỉ dẫn song ngữ Việt – Anh.",
        (R, A),
    ),
    (
        "HTX Nông nghiệp Phú Lộc liên kết với Công ty TNHH Vina T&T xuất khẩu 85 tấn bưởi da xanh sang EU "
        "theo tiêu chuẩn GlobalG.A.P.; giá thu mua 28.000 đ/kg, cao hơn thị trường 3.000 đ/kg.",
        (R,),
    ),
    (
        "Bộ phận TN&TKQ bố trí 05 quầy, 01 kiosk tra cứu. Thời gian chờ bình quân 11 phút (giảm 4 phút). Thứ "
        "Hai đông, có lúc chờ trên 30 phút; từ tháng 10 thí điểm đặt lịch qua Zalo OA.",
        (R, A),
    ),
    (
        "Vì chưa có hướng dẫn về định mức chi cho công tác số hóa, đơn vị tạm ứng từ nguồn chi thường xuyên. "
        "Mong cấp trên sớm có văn bản để địa phương chủ động bố trí dự toán 2027.",
        (A, C, P),
    ),
    (
        "Công an xã cấp 312 CCCD, kích hoạt 287 tài khoản VNeID mức 2; làm sạch 4.105/4.230 dữ liệu hội viên. "
        "Số còn lại đi làm ăn xa, chưa thu thập được thông tin.",
        (R, A),
    ),
    (
        "Nhiệm vụ trọng tâm tháng tới: 1) quyết toán các dự án hoàn thành; 2) thu nợ đọng thuế 420 triệu "
        "đồng; 3) chuẩn bị Đại hội TDTT; 4) triển khai tiêm vắc xin đợt 2 cho gia súc.",
        (P,),
    ),
    (
        "Chi ngân sách 6 tháng 4.812 triệu đồng, bằng 47,9% dự toán; bảo đảm chi lương, chế độ, an sinh. Chi "
        "đầu tư đạt thấp (21%) do các công trình khởi công từ tháng 5.",
        (R, A, C),
    ),
    (
        "Hồ sơ NCC: giải quyết 05/05 hồ sơ mai táng phí, 02 hồ sơ thờ cúng liệt sĩ; tổ chức thăm, tặng quà "
        "27/7 cho 231 lượt người với 92,4 triệu đồng. Các chế độ chi trả kịp thời, đúng đối tượng.",
        (R, A),
    ),
    (
        "Trong quý, Sở không để xảy ra nhiệm vụ quá hạn. Chất lượng tham mưu được nâng lên: 96% văn bản trình "
        "được thông qua lần đầu. Khó khăn là thiếu 04 biên chế so với đề án, hiện phải điều động viên chức hỗ "
        "trợ.",
        (R, A),
    ),
    (
        "Sáng kiến: “Một chạm – ba không” (không giấy tờ, không chờ đợi, không tiền mặt) giúp giảm 40% thời "
        "gian đi lại; đã được Hội đồng sáng kiến tỉnh công nhận tại QĐ 1876/QĐ-UBND.",
        (R,),
    ),
    (
        "Tiến độ thu quỹ: PCTT 62%, Đền ơn đáp nghĩa 88%. Thu PCTT thấp vì nhiều hộ đề nghị miễn giảm do mất "
        "mùa; UBND xã đang lập danh sách trình huyện cũ trước đây nay là UBND tỉnh xem xét.",
        (R, A, C, P),
    ),
)

#: as old programs and wrong settings hand such texts over; written down from real fonts, not made by the code
ABC = (
    "Céng hßa x· héi chñ nghÜa ViÖt Nam. §éc lËp - Tù do - H¹nh phóc",
    "B¸o c¸o kÕt qu¶ thùc hiÖn nhiÖm vô th¸ng 9; ph­¬ng h­íng, nhiÖm vô th¸ng 10 cña ñy ban nh©n d©n x·.",
)
VNI = (
    "COÄNG HOØA XAÕ HOÄI CHUÛ NGHÓA VIEÄT NAM. Ñoäc laäp - Töï do - Haïnh phuùc",
    "Baùo caùo keát quaû thöïc hieän nhieäm vuï thaùng 9; phöông höôùng, nhieäm vuï thaùng 10 cuûa UÛy "
    "ban nhaân daân xaõ.",
)
